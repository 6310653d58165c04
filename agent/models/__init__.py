"""Models that the platform deploys: fetched, tried, put in place, and given up again where they do not work."""

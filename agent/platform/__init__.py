"""The Acusight platform as a device sees it: requests out, meanings back. The only importer of httpx."""

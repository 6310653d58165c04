from __future__ import annotations

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from house_rig import House, arrive, photograph, until
from page_rig import page

from agent.demo.shots import shots, write

SECRET = "0123456789abcdef0123"
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""
DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_says_what_status_says(tmp_path: Path) -> None:
    """While the agent runs and while it does not: verdict, sources, deliveries; the key nowhere (I7)."""
    with House(tmp_path) as house, page(house) as running:
        assert "no agent runs" in running.ask().text
        agent = house.run()
        for name, content in shots(1)[0].files():
            write(house.watched, name, content)
        house.settled(1)
        house.fault(status=422, message="<b>no</b> such class")
        arrive(house.watched / "bad.jpg", photograph(5))
        until(lambda: "1 picture set aside" in running.ask("/live").text)
        shown = running.ask()
        assert shown.status_code == 200
        assert shown.headers["cache-control"] == "no-store"
        assert shown.headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in shown.headers["content-security-policy"]
        assert not re.search(r"<[^>]+ (style|on\w+)=", shown.text)
        assert "&lt;b&gt;no&lt;/b&gt; such class" in shown.text
        assert "<rect " in shown.text
        assert house.key_file.read_text() not in shown.text
        assert running.ask("/status.json").json()["sources"]["captures"]["delivered"] == 1
        assert running.ask("/history.json").json()["waiting"] == [0]
        picture = running.ask("/pictures/captures")
        assert (picture.headers["content-type"], picture.content[:2]) == ("image/jpeg", b"\xff\xd8")

        house.fault()
        assert running.order("pause").status_code == 303
        until(lambda: "paused by hand" in running.ask("/live").text)
        assert running.order("resume").headers["location"] == "/"
        (item,) = (row["id"] for row in house.rows("SELECT id FROM item"))
        assert running.order("retry", id=item).status_code == 303
        house.settled(2)
        agent.stop()
        assert "no agent runs" in running.ask().text


def test_strangers_are_turned_away(tmp_path: Path) -> None:
    """A foreign name, a foreign form, an unknown path, and a form without end; nothing of it reaches the spool."""
    with House(tmp_path, online=False) as house, page(house) as running:
        origin = {"origin": running.url.rstrip("/")}
        assert running.ask(headers={"host": "evil.example"}).status_code == 421
        assert running.ask("/pause", "POST").status_code == 403
        assert running.ask("/pause", "POST", headers={"origin": "http://evil.example"}).status_code == 403
        assert running.order("drop").status_code == 404
        assert running.ask("/retry", "POST", data="x" * 5000, headers=origin).status_code == 413
        assert running.ask("/pictures/..%2f..%2fkey").status_code == 404
        assert running.ask("/static/desk.py").status_code == 404
        assert running.ask("/pictures/nobody").status_code == 404
        assert not house.spool.exists()


def test_beyond_this_machine_it_asks_for_the_token(tmp_path: Path) -> None:
    """Without a token file it ends with 78 and a remedy; with one it answers 401 until it is told the token."""
    with House(tmp_path, online=False) as house:
        house.configure(page={"listen": "0.0.0.0:0"})
        ended = house.call("page")
        assert ended.returncode == 78
        assert "Set page.token_file" in ended.stderr
        token = tmp_path / "token"
        token.write_text(SECRET)
        token.chmod(0o600)
        house.configure(page={"token_file": str(token)})
        with page(house, "127.0.0.1:0") as running:
            refused = running.ask()
            assert (refused.status_code, refused.headers["www-authenticate"][:5]) == (401, "Basic")
            assert running.ask(auth=("anybody", SECRET)).status_code == 200
            assert running.ask("/metrics", headers={"authorization": f"Bearer {SECRET}"}).status_code == 200
            assert SECRET not in running.ask(auth=("x", SECRET)).text


def test_it_listens_on_a_unix_socket_and_takes_it_away(tmp_path: Path) -> None:
    """For this user and its group; one that a kill left behind is no hindrance."""
    path = tmp_path / "page.sock"
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(str(path))
    with House(tmp_path / "house", online=False) as house, page(house, str(path)):
        assert path.stat().st_mode & 0o777 == 0o660
        connection = http.client.HTTPConnection("localhost")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(path))
        connection.request("GET", "/status.json")
        assert connection.getresponse().status == 200
        connection.close()
    assert not path.exists()


def test_a_handed_over_socket_is_served_until_nobody_looks(tmp_path: Path) -> None:
    """As systemd starts it: the first visitor is answered, and after the idle time it ends well by itself."""
    with House(tmp_path, online=False) as house, socket.create_server(("127.0.0.1", 0)) as listener:
        house.configure(page={"idle_s": 1})
        began, program = time.monotonic(), [sys.executable, "-m", "agent"]
        started = subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(listener.fileno()), *program, "-c", str(house.config), "page"],
            pass_fds=(listener.fileno(),),
            env=house.environment | {"LISTEN_FDS": "1"},
            stderr=subprocess.DEVNULL,
        )
        connection = http.client.HTTPConnection(*listener.getsockname())
        connection.request("GET", "/static/page.css")
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:5]) == (200, b":root")
        connection.close()
        assert started.wait(15) == 0
        assert time.monotonic() - began > 1


def names_in(exposition: str) -> set[str]:
    """Return the names of all samples."""
    return set(re.findall(r"^(acusight_agent_\w+)", exposition, re.MULTILINE))


def test_every_metric_in_the_documents_is_one_that_is_there(tmp_path: Path) -> None:
    """Rules and dashboard name nothing that does not exist, and what is asked for is all there, in any state."""
    with House(tmp_path) as house:
        house.configure(camera=[{"name": "gate", "source": "cmd:sleep 60"}])
        house.run()
        arrive(house.watched / "a.jpg", photograph(1))
        house.settled(1)
        file = tmp_path / "agent.prom"
        until(lambda: 'uploads_total{result="delivered"} 1' in house.call("metrics").stdout)
        assert house.call("metrics", "--textfile", str(file)).returncode == 0
        there = names_in(file.read_text())
        assert [path.name for path in tmp_path.glob(".agent.prom*")] == []
        assert file.stat().st_mode & 0o777 == 0o644
    rules = yaml.safe_load((DOCS / "prometheus-alerts.yml").read_text())
    expressions = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    assert all(rule["annotations"]["description"] for group in rules["groups"] for rule in group["rules"])
    dashboard = (DOCS / "grafana-dashboard.json").read_text()
    named = names_in("\n".join(re.findall(r"acusight_agent_\w+", "\n".join(expressions) + dashboard)))
    late = {"acusight_agent_dropped_total", "acusight_agent_temperature_celsius", "acusight_agent_frame_age_seconds"}
    assert named <= there | late
    assert len(named) >= 10
    for wanted in ("queue_items", "queue_bytes", "queue_oldest_seconds", "delivered_total", "upload_seconds_bucket",
                   "frame_age_seconds", "source_restarts_total", "flash_written_bytes_total"):  # fmt: skip
        assert f"acusight_agent_{wanted}" in there, wanted


def test_metrics_work_without_an_agent_and_say_so(tmp_path: Path) -> None:
    """`up` is 0 before the first run; a folder that is not there is an error with its name."""
    with House(tmp_path, online=False) as house:
        assert "\nacusight_agent_up 0.0\n" in house.call("metrics").stdout
        refused = house.call("metrics", "--textfile", str(tmp_path / "no" / "a.prom"))
        assert refused.returncode == 1
        assert refused.stderr.startswith("acusight-agent: cannot write ")


@pytest.mark.parametrize("word", ["page", "metrics"])
def test_the_page_is_not_for_free(word: str) -> None:
    """Neither verb's module loads the web server before it is used."""
    code = (
        f"import agent.commands.{word}, sys; sys.exit('starlette' in sys.modules or 'prometheus_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

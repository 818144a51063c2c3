"""SIGHUP: certificates that were renewed on disk are used from then on; a
file that is no good changes nothing."""

import hashlib
import os
import shutil
import signal
import socket
import ssl
import subprocess

from harness import TOP, check, check_equal, poll
from stack.fakes import hex_token

TOKEN = hex_token("renew").split(",")[0]


def own_certs(lab):
    """A set that this test may change."""
    own = os.path.join(lab.folder, "certs")
    shutil.copytree(lab.certs, own)
    lab.certs = own


def renewed(lab, name):
    """A new key and certificate of the same authority."""
    for end in ("pem", "key"):
        os.unlink(os.path.join(lab.certs, f"{name}.{end}"))
    subprocess.run([os.path.join(TOP, "scripts", "certs"), lab.certs],
                   check=True, stdout=subprocess.DEVNULL)


def spoilt(lab, name):
    """As if the disk had been full."""
    path = os.path.join(lab.certs, name)
    with open(path, "rb") as file:
        text = file.read()
    with open(path, "wb") as file:
        file.write(text[:len(text) // 2])
    return path, text


def restored(path, text):
    with open(path, "wb") as file:
        file.write(text)


def on_disk(lab, name):
    with open(os.path.join(lab.certs, f"{name}.pem"), encoding="ascii") as f:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(f.read())).hexdigest()


def shake_hands(lab):
    ctx = ssl.create_default_context(cafile=f"{lab.certs}/site-ca.pem")
    raw = socket.create_connection(("127.0.0.1", lab.sipis.api_port), 5)
    return ctx.wrap_socket(raw, server_hostname="localhost")


def shown(lab):
    with shake_hands(lab) as sock:
        return hashlib.sha256(sock.getpeercert(True)).hexdigest()


def healthy(sock):
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    return sock.recv(4096).startswith(b"HTTP/1.1 200")


def hang_up(lab, *words):
    """SIGHUP, until the log has each of the words once more."""
    before = {word: lab.sipis.log().count(word) for word in words}
    os.kill(lab.sipis.popen.pid, signal.SIGHUP)
    poll(lambda: all(lab.sipis.log().count(word) > count
                     for word, count in before.items()), 10,
         f"{words} in the log")


def test_api(lab):
    own_certs(lab)
    lab.kamailio()
    lab.daemons()
    old = on_disk(lab, "sipis")
    check_equal(shown(lab), old, "the certificate at the start")
    with shake_hands(lab) as sock:
        check(healthy(sock), "a connection")
        renewed(lab, "sipis")
        new = on_disk(lab, "sipis")
        check(new != old and shown(lab) == old, "nothing without a signal")
        hang_up(lab, "api: certificates read again")
        poll(lambda: shown(lab) == new, 5, "the new certificate")
        check(healthy(sock), "the connection goes on")

    for name in ("sipis.pem", "sipis.key"):
        hold = spoilt(lab, name)
        hang_up(lab, "api goes on with the old certificates")
        check_equal(shown(lab), new, f"with half a {name}")
        restored(*hold)
    renewed(lab, "sipis")
    shutil.copy(f"{lab.certs}/pbx.key", f"{lab.certs}/sipis.key")
    hang_up(lab, "api goes on with the old certificates")
    check_equal(shown(lab), new, "with the key of another")


def test_mediator(lab):
    """The old tenant certificate is believed no more; the link that stands
    goes on, the next one needs the new one."""
    own_certs(lab)
    lab.kamailio()
    lab.daemons()
    poll(lambda: "connected" in lab.mediator.log(), 10, "link")
    for end in ("pem", "key"):
        os.unlink(os.path.join(lab.certs, f"mediator-ca.{end}"))
        os.unlink(os.path.join(lab.certs, f"mediator.{end}"))
    renewed(lab, "tenant-demo")
    hang_up(lab, "mediator: certificates read again")
    lab.mediator.stop()
    lab.mediator.start()
    poll(lambda: lab.mediator.log().count("connected") >= 2, 20,
         "link under the new authority")


def test_pbx(lab):
    """The PBX has moved to another authority."""
    own_certs(lab)
    lab.kamailio()
    shutil.copy(f"{lab.certs}/mediator-ca.pem", f"{lab.certs}/pbx-ca.pem")
    lab.daemons("tls", pbx={"ca": f"{lab.certs}/pbx-ca.pem"})
    lab.fake.token(TOKEN)
    status, answer = lab.sipis.api().create("100", "phone-1", TOKEN)
    check_equal(status // 100, 5, f"under a wrong authority: {answer}")
    hold = spoilt(lab, "pbx-ca.pem")
    hang_up(lab, "demo goes on with the old certificates")
    restored(*hold)
    shutil.copy(f"{lab.certs}/site-ca.pem", f"{lab.certs}/pbx-ca.pem")
    hang_up(lab, "demo: certificates read again")
    poll(lambda: lab.sipis.api().create("100", "phone-1", TOKEN)[0] == 201,
         60, "an account once the authority is known")


def test_handle_key(lab):
    """The mediator's key for handles is changed; the old one may go once the
    phone got a push."""
    own_certs(lab)
    lab.kamailio()
    lab.daemons(pbx={"wake_timeout_s": 2})
    lab.phone(options=("--no-wake",))
    lab.wait_registered()
    config = lab.mediator.config
    old, new = config["handle_key_file"], f"{lab.certs}/new-handle.key"
    with open(new, "w", encoding="ascii",
              opener=lambda path, flags: os.open(path, flags, 0o400)) as file:
        file.write(os.urandom(32).hex())
    for number, opens in ((1, [old]), (2, [])):
        config["handle_key_file"] = new
        config["old_handle_key_files"] = opens
        lab.mediator.write_config()
        os.kill(lab.mediator.popen.pid, signal.SIGHUP)
        poll(lambda: lab.mediator.log().count("new configuration") == number,
             10, "reload")
        lab.gives_up(lambda number=number: len(lab.fake.requests(
            use="call", status=200)) == number, "push that is taken")

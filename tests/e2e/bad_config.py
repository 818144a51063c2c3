"""Both daemons refuse a bad configuration with file, line and key; nothing
is started."""

import os
import re
import subprocess

from harness import TOP, check, check_equal
from stack.daemons import binary

EX_USAGE, EX_NOINPUT, EX_NOPERM, EX_CONFIG = 64, 66, 77, 78


def put(text, key, value):
    """The line of key gets another value."""
    lines = text.splitlines()
    (at,) = [i for i, line in enumerate(lines)
             if line.strip().removeprefix("- ").startswith(f"{key}:")][:1]
    head = lines[at].split(":", 1)[0]
    lines[at] = f"{head}: {value}"
    return "\n".join(lines) + "\n"


def after(text, key, line):
    """A further line behind the line of key, as deep as that one."""
    lines = text.splitlines()
    (at,) = [i for i, old in enumerate(lines)
             if old.strip().startswith(f"{key}:")][:1]
    depth = len(lines[at]) - len(lines[at].lstrip())
    lines.insert(at + 1, " " * depth + line)
    return "\n".join(lines) + "\n"


def line_of(text, key):
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().removeprefix("- ").startswith(f"{key}:"):
            return number
    return None


def refuses(part, text, code, *words):
    """Exit code, and one line that has all the words; --check-config says
    the same."""
    path = os.path.join(part.folder, "bad.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    program = part.argv[0]
    said = []
    for args in (["-c", path], ["-c", path, "--check-config"]):
        out = subprocess.run([program, *args], capture_output=True,
                             text=True, timeout=20, check=False,
                             cwd=part.folder)
        check_equal(out.returncode, code, f"exit of {program} {args}: "
                    f"{out.stderr}")
        lines = out.stderr.strip().splitlines()
        check_equal(len(lines), 1, f"lines: {out.stderr}")
        for word in ("bad.yaml", *words):
            check(str(word) in lines[0], f'"{word}" in: {lines[0]}')
        said.append(lines[0])
    check_equal(said[0], said[1], "--check-config says the same")


def good(part):
    part.write_config()
    with open(part.config_path, encoding="utf-8") as file:
        text = file.read()
    out = subprocess.run([*part.argv, "--check-config"], capture_output=True,
                         text=True, timeout=20, check=False)
    check_equal(out.returncode, 0, f"the good one: {out.stderr}")
    return text


def directories(part, text):
    """Where the start could make no state_dir."""
    for wrong, word in ((part.config_path, "not a directory"),
                        (f"{part.folder}/missing/state", "make the directory"),
                        (f"{part.config_path}/state", "Not a directory")):
        refuses(part, put(text, "state_dir", wrong), EX_CONFIG, "state_dir",
                f":{line_of(text, 'state_dir')}:", word)
    # what even root may not write to
    parent = os.path.join(part.folder, "sealed")
    os.mkdir(parent)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", parent],
                   check=True)
    refuses(part, put(text, "state_dir", f"{parent}/state"), EX_NOPERM,
            "state_dir", f":{line_of(text, 'state_dir')}:", "make it")


def test_sipis(lab):
    lab.fake_pns()
    part = lab.add_sipis(start=False)
    text = good(part)
    state = part.config["state_dir"]
    key = "handover"
    refuses(part, after(text, "node", "unknown_thing: 1"), EX_CONFIG,
            "unknown_thing", line_of(after(text, "node", "unknown_thing: 1"),
                                     "unknown_thing"))
    refuses(part, after(text, "transport", "wake_timeout: 5"), EX_CONFIG,
            "wake_timeout", "wake_timeout_s")
    refuses(part, put(text, key, "sideways"), EX_CONFIG, key,
            line_of(text, key))
    refuses(part, put(text, "wake_timeout_s", "soon"), EX_CONFIG,
            "wake_timeout_s", line_of(text, "wake_timeout_s"))
    refuses(part, put(text, "wake_timeout_s", "900"), EX_CONFIG,
            "wake_timeout_s", "20")
    refuses(part, put(text, "wake_timeout_s", "-1"), EX_CONFIG,
            "wake_timeout_s")
    refuses(part, put(text, "wake_timeout_s", "-5"), EX_CONFIG,
            "wake_timeout_s", line_of(text, "wake_timeout_s"), "from 1 to 20")
    refuses(part, after(text, "wake_timeout_s", "ring_timeout_s: 5"),
            EX_CONFIG, "ring_timeout_s", "wake_timeout_s")
    port = re.search(r'listen: *\n *- "?127.0.0.1:(\d+)', text).group(1)
    refuses(part, text.replace(f"127.0.0.1:{port}", "127.0.0.1:0", 1),
            EX_CONFIG, "api.listen[0]", "port 0")
    refuses(part, put(text, "state_dir", "var/lib/sipis"), EX_CONFIG,
            "state_dir", "from /")
    directories(part, text)
    admin = re.search(r"admin:\n +listen: *(\S+)", text).group(1)
    for host in ("127.0.0.1", "0.0.0.0"):
        refuses(part, text.replace(f"127.0.0.1:{port}", f"{host}:{port}", 1)
                .replace(admin, f'"127.0.0.1:{port}"'), EX_CONFIG,
                "admin.listen", "api.listen[0]")
    for wrong in ("0.0.0.0", "::"):
        refuses(part, put(text, "local_address", f'"{wrong}"'), EX_CONFIG,
                f":{line_of(text, 'local_address')}:", "pbx[0].local_address")
    for wrong in ("..a", ".a", "a..b", "a" * 64 + ".test"):
        refuses(part, text.replace("- demo.test\n", f'- "{wrong}"\n'),
                EX_CONFIG, "pbx[0].domains[0]", wrong)
    refuses(part, re.sub(r"( *- )demo\.test\n", r"\g<0>\1Demo.TEST\n", text),
            EX_CONFIG, "domains[1]", "twice")
    refuses(part, "a: " + "[" * 100000, EX_CONFIG, "nested")
    refuses(part, text + "#" * (1 << 20), EX_CONFIG, "1 MiB")
    refuses(part, put(text, "local_port", "70000"), EX_CONFIG, "local_port")
    for name in ("'a\"b'", "a b", "'a\\b'", ".a", "a" * 65):
        wrong = text.replace("name: demo\n", f"name: {name}\n")
        at = wrong[:wrong.index(f"name: {name}")].count("\n") + 1
        refuses(part, wrong, EX_CONFIG, f":{at}:", "pbx[0].name", "letters")
    for wrong, word in (("demo.test", "192.0.2.0/24"), ("0.0.0.0/0", "anybody"),
                        ("192.0.2.1/24", "behind"), ("::/129", "range")):
        refuses(part, after(text, "transport", f'addresses: ["{wrong}"]'),
                EX_CONFIG, "addresses", wrong, word)
    for wrong in ("demo.test", "203.0.113.1:5060", "0.0.0.0", "2001:db8::1"):
        refuses(part, after(text, "transport", f'public_address: "{wrong}"'),
                EX_CONFIG, "public_address", wrong)
    one = "_sipis-mediator._tcp.example.net"
    for names, word in (([one, "127.0.0.1"], "alone"), ([f"{one}:1"], "port"),
                        (["_sipis-mediator"], "SRV")):
        refuses(part, text.replace('- "127.0.0.1:24998"', "\n    ".join(
            f'- "{name}"' for name in names)), EX_CONFIG,
            "mediator.addresses[0]", word)
    named = text.replace("127.0.0.1:24998", one)
    refuses(part, named.replace("name: mediator.test\n", "\n"), EX_CONFIG,
            "mediator.name", "SRV")
    refuses(part, put(text, "key_file", "/nowhere/key"), EX_NOINPUT,
            "key_file", "/nowhere/key")
    refuses(part, text[:text.index("pbx:")], EX_CONFIG, "pbx")
    refuses(part, text[:text.index("pbx:")] + "pbx: []\n", EX_CONFIG, "pbx")
    block = text[text.index("pbx:") + len("pbx:\n"):]
    refuses(part, text + block, EX_CONFIG, "name", "demo")
    refuses(part, text + block.replace("name: demo\n", "name: other\n"),
            EX_CONFIG, "domains", "demo.test")
    refuses(part, text.replace("node:", "node"), EX_CONFIG)
    refuses(part, "\t{", EX_CONFIG)
    refuses(part, "", EX_CONFIG)
    check(not os.path.exists(state), "nothing was started or made")
    os.unlink(os.path.join(part.folder, "bad.yaml"))
    for args, code in ((["-c", "/nowhere.yaml"], EX_NOINPUT),
                       (["--no-such-option"], EX_USAGE)):
        out = subprocess.run([part.argv[0], *args], capture_output=True,
                             text=True, timeout=20, check=False)
        check_equal(out.returncode, code, f"{args}: {out.stderr}")


def test_no_admin(lab):
    """sipisctl proposes the listener that the example has."""
    part = lab.add_sipis(start=False)
    text = re.sub(r"admin:\n +listen: *\S+\n", "", good(part))
    path = os.path.join(part.folder, "no-admin.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    with open(os.path.join(TOP, "docs", "examples", "sipis.yaml"),
              encoding="utf-8") as file:
        listen = re.search(r"\nadmin:.*\n +listen: *(\S+)", file.read())
    out = subprocess.run([binary(lab.build, "sipis", "sipisctl"), "-c", path,
                          "status"], capture_output=True, text=True,
                         timeout=20, check=False)
    check_equal(out.returncode, EX_CONFIG, f"exit: {out.stderr}")
    check(f'listen: "{listen.group(1)}"' in out.stderr, out.stderr)


def test_mediator(lab):
    lab.fake_pns()
    part = lab.add_mediator(start=False)
    text = good(part)
    state = part.config["state_dir"]
    refuses(part, after(text, "node", "unknown_thing: 1"), EX_CONFIG,
            "unknown_thing")
    refuses(part, put(text, "key_file", "/nowhere/key.p8"), EX_NOINPUT,
            "key_file", "/nowhere/key.p8")
    refuses(part, put(text, "handle_key_file", "/nowhere/key"), EX_NOINPUT,
            "handle_key_file")
    refuses(part, put(text, "rate", "lots"), EX_CONFIG, "rate",
            line_of(text, "rate"))
    refuses(part, put(text, "rate", "-5"), EX_CONFIG, "rate")
    tenants = text[text.index("tenants:"):text.index("apps:\n  - name")]
    twice = tenants + tenants[len("tenants:\n"):]
    refuses(part, text.replace(tenants, twice), EX_CONFIG, "demo")
    refuses(part, text.replace("credential: apple", "credential: pear"),
            EX_CONFIG, "credential", "pear")
    refuses(part, text.replace("    apps:\n      - demo",
                               "    apps:\n      - nothere"),
            EX_CONFIG, "nothere")
    refuses(part, put(text, "team_id", "short"), EX_CONFIG, "team_id")
    directories(part, text)
    door = re.search(r"server:\n +listen: *\n *- *(\S+)", text).group(1)
    refuses(part, text.replace(door, '"127.0.0.1:0"'), EX_CONFIG,
            "server.listen[0]", "port 0")
    admin = re.search(r"admin:\n +listen: *(\S+)", text).group(1)
    refuses(part, text.replace(admin, door), EX_CONFIG, "admin.listen",
            "server.listen")
    check(not os.path.exists(state), "nothing was started or made")
    bad_key = os.path.join(part.folder, "bad.p8")
    with open(bad_key, "w", encoding="ascii") as file:
        file.write("not a key\n")
    os.chmod(bad_key, 0o400)
    refuses(part, put(text, "key_file", bad_key), EX_CONFIG, "key_file")


def test_edge(lab):
    lab.fake_pns()
    part = lab.add_sipis(start=False, over={"edge": {
        "listen": ["tls:127.0.0.1:5071"],
        "certificate": f"{lab.certs}/sipis.pem",
        "key": f"{lab.certs}/sipis.key"}}, pbx={"mode": "continuous"})
    text = good(part)
    head, edge = text.split("edge:", 1)
    for bad in ("5071", "tls:5071", "tls:0.0.0.0:5071", "sctp:127.0.0.1:5071",
                "tls:127.0.0.1:0", "tls:127.0.0.1:70000"):
        wrong = edge.replace("tls:127.0.0.1:5071", bad)
        refuses(part, f"{head}edge:{wrong}", EX_CONFIG, "edge.listen[0]")
    refuses(part, f"{head}edge:" + put(edge, "certificate", "/nowhere.pem"),
            EX_NOINPUT, "edge.certificate", "/nowhere.pem")
    refuses(part, text.replace("edge:", "edge:\n  flow_timer_s: 5", 1),
            EX_CONFIG, "edge.flow_timer_s")
    key = "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-" \
        "dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
    for said, words in (
            (f"[{{app: a, webpush: {key[:-1]}}}]", ["[0].webpush", "VAPID"]),
            (f"[{{app: a, webpush: C{key[1:]}}}]", ["[0].webpush", "VAPID"]),
            (f"[{{app: a, webpush: {key}=}}]", ["[0].webpush", "VAPID"]),
            (f"[{{app: a, webpush: {key}}}, {{app: b, webpush: {key}}}]",
             ["[1].webpush", "one app"])):
        refuses(part, text.replace("edge:", f"edge:\n  push: {said}", 1),
                EX_CONFIG, *words)
    refuses(part, put(text, "transport", "tls"), EX_CONFIG,
            "pbx[0].certificate", "relayed call")
    for said, key in (
            ('rtpengine: []', "media"),
            ('rtpengine: ["rtp.example:2223"]', "media.rtpengine[0]"),
            ('rtpengine: ["192.0.2.1:0"]', "media.rtpengine[0]"),
            ('rtpengine: ["0.0.0.0:2223"]', "media.rtpengine[0]"),
            ('rtpengine: ["192.0.2.1:2223"], when_unreachable: perhaps',
             "when_unreachable"),
            ('rtpengine: ["192.0.2.1:2223"], timeout_ms: 9',
             "media.timeout_ms"),
            ('rtpengine: ["192.0.2.1:2223"], pbx_interface: in',
             "media.phone_interface"),
            ('when_unreachable: fail', "rtpengine")):
        refuses(part, after(text, "transport", f"media: {{{said}}}"),
                EX_CONFIG, key)
    part.config = {k: v for k, v in part.config.items() if k != "edge"}
    part.write_config()
    with open(part.config_path, encoding="utf-8") as file:
        text = file.read()
    refuses(part, text, EX_CONFIG, "pbx[0].mode", "edge")
    refuses(part, after(put(text, "mode", "standard"), "mode",
                        "challenges: answer"),
            EX_CONFIG, "pbx[0].challenges", "edge")


def test_examples(lab):
    """The files of docs/examples are good, once their files are there."""
    docs = os.path.join(TOP, "docs", "examples")
    keys = {".pem": "sipis.pem", ".crt": "sipis.pem", ".p8": "apns.p8",
            ".json": "fcm.json"}
    os.makedirs(lab.folder, exist_ok=True)
    for daemon in ("sipis", "mediator"):
        with open(f"{docs}/{daemon}.yaml", encoding="utf-8") as file:
            text = file.read()

        def present(match):
            path = match.group(0)
            name = "store.key" if "store" in path or "handle" in path \
                else "vapid.pem" if "vapid" in path \
                else keys.get(os.path.splitext(path)[1], "sipis.key")
            return f"{lab.certs}/{name}"
        text = re.sub(r"/etc/sipis/[\w.-]+", present, text)
        text = re.sub(r"/var/lib/\w+", lab.folder, text)
        path = os.path.join(lab.folder, f"{daemon}.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        out = subprocess.run(
            [os.path.join(lab.build, daemon, daemon), "--check-config",
             "-c", path], capture_output=True, text=True, timeout=20,
            check=False)
        check_equal(out.returncode, 0, f"docs/examples: {out.stderr}")


def test_second_one(lab):
    """The same state_dir, the same port: refused with a reason."""
    lab.kamailio()
    lab.daemons()
    second = lab.add_sipis(name="second", start=False, over={
        "state_dir": lab.sipis.config["state_dir"]})
    second.write_config()
    out = subprocess.run(second.argv, capture_output=True, text=True,
                         timeout=20, check=False)
    check_equal(out.returncode, 75, f"exit: {out.stderr}")
    check("another sipis" in out.stderr, out.stderr)
    second = lab.add_sipis(name="third", start=False)
    second.write_config()
    out = subprocess.run(second.argv, capture_output=True, text=True,
                         timeout=20, check=False)
    check(64 <= out.returncode <= 78, f"port in use: {out.returncode}")
    check("8443" in out.stderr or "5070" in out.stderr, out.stderr)

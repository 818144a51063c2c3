"""One call, hop by hop, from the records of everyone it passed."""

HOPS = ("INVITE in", "push sent", "provider accepted", "app awake",
        "app registered", "INVITE at the app", "180", "200", "BYE")


def first(lines, **match):
    for line in lines:
        if all(line.get(key) == value for key, value in match.items()):
            return line
    return None


def call_hops(call, sipis, fake, phone):
    """[(hop, microseconds, who says so)] of an answered call, joined by its
    id.  A hop that nobody saw is missing."""
    events = (sipis.call(call) or {}).get("events", [])
    steps = [s for s in phone.steps() if s.get("call") == call]
    pushes = fake.requests(call=call, use="call", status=200)
    found = []

    def add(hop, at_us, who):
        if at_us:
            found.append((hop, at_us, who))

    def event(hop, what):
        line = first(events, what=what)
        add(hop, line and line["at_us"], "sipis")

    def step(hop, name):
        line = first(steps, step=name)
        add(hop, line and line["at_us"], "phone")

    event("INVITE in", "INVITE")
    event("push sent", "push sent")
    add("provider accepted", pushes and pushes[0]["answer_us"], "push service")
    step("app awake", "awake")
    step("app registered", "registered")
    step("INVITE at the app", "invite")
    step("180", "180")
    step("200", "200")
    step("BYE", "bye")
    return sorted(found, key=lambda hop: hop[1])


def missing(hops):
    seen = {hop for hop, _, _ in hops}
    return [hop for hop in HOPS if hop not in seen]


def hops_text(hops):
    """A line per hop: milliseconds since the INVITE, and since the hop
    before."""
    out, last = [], None
    zero = hops[0][1] if hops else 0
    for hop, at_us, who in hops:
        step = "" if last is None else f"{(at_us - last) / 1000:+10.1f}"
        out.append(f"  {(at_us - zero) / 1000:10.1f} ms {step:>10}"
                   f"   {hop:<20} {who}")
        last = at_us
    return "\n".join(out)

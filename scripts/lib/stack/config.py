"""Values of Python as YAML, in the shape an operator would write them."""


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    plain = text and all(c.isalnum() or c in "/._-@" for c in text)
    if plain and not text[0].isdigit() and text not in (
            "true", "false", "null", "yes", "no", "on", "off"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def yaml_text(value, indent=0):
    """Mappings, lists and scalars; None leaves a key out."""
    pad = "  " * indent
    out = []
    if isinstance(value, dict):
        for key, item in value.items():
            if item is None:
                continue
            if isinstance(item, (dict, list)) and item:
                out.append(f"{pad}{key}:\n{yaml_text(item, indent + 1)}")
            elif isinstance(item, (dict, list)):
                out.append(f"{pad}{key}: {'{}' if item == {} else '[]'}\n")
            else:
                out.append(f"{pad}{key}: {scalar(item)}\n")
    else:
        for item in value:
            if isinstance(item, dict):
                body = yaml_text(item, indent + 1)
                out.append(f"{pad}- {body[len(pad) + 2:]}")
            else:
                out.append(f"{pad}- {scalar(item)}\n")
    return "".join(out)

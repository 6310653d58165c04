"""Write the pages of docs/reference that are made from the code: `make docs`; a test compares them.

What a reader looks up is said once, where it is declared: a setting's description in the tree, a command's help at
the command. These pages are that, in another form.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.commands import group
from agent.config.schema import schema_text
from agent.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

REFERENCE = Path(__file__).with_name("reference")
PROGRAM = "acusight-agent"
_NOTE = "<!-- Made by `make docs` from the code; change it there. -->"
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤"}
_PLAIN = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "object": "table"}

_Schema = dict[str, Any]


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "commands.md": "\n".join(_commands()) + "\n",
        "configuration.md": "\n".join(_configuration()) + "\n",
        "config.schema.json": schema_text(),
    }


def _configuration() -> Iterator[str]:
    tree = Settings.model_json_schema()
    yield f"{_NOTE}\n\n# The configuration\n"
    yield (
        "Every key, with its default. The same with examples: [config.example.toml](../../config.example.toml); for\n"
        "editors: [config.schema.json](config.schema.json). A key that is not named here is an error.\n\n"
        "Relative paths start at the configuration's folder. A size is a number of bytes, or a text such as `500 MB`,\n"
        "`4 GB`, `2 GiB`. The environment wins over the file: `ACUSIGHT_AGENT_UPLOAD__WORKERS=4` is `[upload]\n"
        "workers`; lists are written as JSON there."
    )
    yield from _tables(tree["properties"], tree["$defs"], "")


def _tables(keys: _Schema, definitions: _Schema, path: str) -> Iterator[str]:
    """Yield a section for each table among `keys`, with the tables in it; one kind of table is described once."""
    for key, schema in keys.items():
        reference = schema.get("$ref") or schema.get("items", {}).get("$ref")
        if reference is None or (path and key == "select"):
            continue
        name = f"{path}{key}"
        table = definitions[reference.rpartition("/")[2]]
        title = f"[[{name}]]" if "items" in schema else f"[{name}]"
        # pydantic leaves a key's description out where it is that of its table.
        yield f"\n## {title}\n\n{schema.get('description', table.get('description'))}\n"
        yield "| key | type | default | |\n|---|---|---|---|"
        for child, fields in table["properties"].items():
            default = "required" if child in table.get("required", ()) else _default(fields)
            yield f"| `{child}` | {_cell(_kind(fields))} | {_cell(default)} | {_cell(fields['description'])} |"
        yield from _tables(table["properties"], definitions, f"{name}.")


def _default(schema: _Schema) -> str:
    default = schema.get("default")
    if default is None or "$ref" in schema:
        return ""
    text = f"{default:_}" if type(default) is int else json.dumps(default)
    return f"`{text}`"


def _kind(schema: _Schema) -> str:
    """Say in words which values a key takes."""
    if "$ref" in schema:
        return "table, as `[select]`"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        kinds = [one for one in schema["anyOf"] if one.get("type") != "null"]
        return "size" if any("examples" in one for one in kinds) else " or ".join(map(_kind, kinds))
    if schema.get("format") == "path":
        return "path"
    if schema["type"] == "array":
        return _list(schema)
    bounds = [f"{sign} {schema[key]:_}" for key, sign in _BOUNDS.items() if key in schema]
    return ", ".join([_PLAIN[schema["type"]], *bounds])


def _list(schema: _Schema) -> str:
    if "prefixItems" in schema:
        return f"[{'; '.join(map(_kind, schema['prefixItems']))}]"
    if "$ref" in schema["items"]:
        return "list of tables, below"
    count = f"{schema['maxItems']} of: " if "maxItems" in schema else "list of: "
    return count + _kind(schema["items"])


def _commands() -> Iterator[str]:
    yield f"{_NOTE}\n\n# The commands\n"
    yield (
        "What `--help` says of each; `-c` may also stand first. How they end: [exit-codes.md](exit-codes.md);\n"
        "what `--json` prints: [json.md](json.md)."
    )
    for context in contexts():
        yield from _command(context)


def contexts() -> Iterator[click.Context]:
    """Yield a context for every command, groups before what is in them."""
    yield from _below(group, PROGRAM, None)


def _below(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    context = click.Context(command, parent=parent, info_name=name)
    yield context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None, child  # noqa: S101 (it was just listed)
            yield from _below(found, child, context)


def _command(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"\n## {context.command_path}\n"
    yield f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n"
    yield inspect.cleandoc(command.help or "")
    if isinstance(command, click.Group):
        names = (f"{context.command_path} {name}" for name in command.list_commands(context))
        yield "\n" + ",\n".join(f"[`{name}`](#{name.replace(' ', '-')})" for name in names)
    records = [option.get_help_record(context) for option in command.params if isinstance(option, click.Option)]
    if any(records):
        yield "\n| option | |\n|---|---|"
        yield from (f"| `{_cell(record[0])}` | {_cell(record[1])} |" for record in records if record)
    yield f"\n```\n{inspect.cleandoc((command.epilog or '').replace(chr(8), ''))}\n```"


def _cell(text: str) -> str:
    """Return a text that stays within its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def main() -> None:
    """Write them all."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""Whether answers over HTTP are what the OpenAPI description says."""
from asked import require

KINDS = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}


def check(answer, path, description):
    """Exits where a thing is missing, of another kind, or not described; as far as the description uses of OpenAPI."""
    content = description["paths"][path]["get"]["responses"]["200"]["content"]
    _matches(answer, content["application/json"]["schema"], description, path)


def _matches(value, schema, description, where):
    if "$ref" in schema:
        schema = description["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if value is None:
        require(schema.get("nullable"), f"{where} is null")
        return
    require(isinstance(value, KINDS[schema["type"]]), f"{where}: {value!r} is no {schema['type']}")
    require(value in schema.get("enum", [value]), f"{where}: {value!r}")
    if schema["type"] == "array":
        require(schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)), f"{where} has {len(value)}")
        for index, one in enumerate(value):
            _matches(one, schema["items"], description, f"{where}[{index}]")
    elif schema["type"] == "object":
        _matches_object(value, schema, description, where)


def _matches_object(value, schema, description, where):
    for name in schema.get("required", []):
        require(name in value, f"{where} lacks {name}")
    others = schema.get("additionalProperties")
    for name, one in value.items():
        if "properties" not in schema and others is None:
            continue  # what is in it is told in words
        require(name in schema.get("properties", {}) or others, f"{where}.{name} is not described")
        _matches(one, schema.get("properties", {}).get(name, others), description, f"{where}.{name}")

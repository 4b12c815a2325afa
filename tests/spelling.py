"""The spellings of AWS's keys: ECS's API has camelCase, CloudFormation has PascalCase."""

# Members whose keys are not AWS's, such as the options of a log driver. The keys keep their
# spelling.
NAMED_BY_OTHERS = ("options", "Options")


def in_camel_case(value):
    """Returns a value with the keys in the spelling of ECS's API."""
    return respelled(value, str.lower)


def in_pascal_case(value):
    """Returns a value with the keys in the spelling of CloudFormation."""
    return respelled(value, str.upper)


def respelled(value, spell):
    """Returns a value with the first letter of each key changed."""
    if isinstance(value, list):
        return [respelled(item, spell) for item in value]
    if not isinstance(value, dict):
        return value
    return {spell(key[:1]) + key[1:]: member if key in NAMED_BY_OTHERS else respelled(member, spell) for key, member in value.items()}

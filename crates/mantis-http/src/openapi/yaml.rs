//! Writes JSON values as YAML: blocks for objects and lists, JSON for everything else.

use serde_json::Value;

/// The value as a YAML document.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// Writes a value that begins on a line of its own.
fn block(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, member) in members {
                out.push_str(&"  ".repeat(indent));
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                after(member, indent + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&"  ".repeat(indent));
                out.push('-');
                after(item, indent + 1, out);
            }
        }
        scalar => {
            out.push_str(&"  ".repeat(indent));
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

/// Writes a value behind its name or dash: on the same line when it is one line.
fn after(value: &Value, indent: usize, out: &mut String) {
    let nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(value, indent, out);
    } else {
        out.push(' ');
        out.push_str(&value.to_string());
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nesting_becomes_indentation() {
        let value = json!({"a": {"b": [1, {"c": "x: \"y\""}], "e": []}, "200": null});
        let expected = "\"200\": null\n\"a\":\n  \"b\":\n    - 1\n    -\n      \"c\": \"x: \\\"y\\\"\"\n  \"e\": []\n";
        assert_eq!(write(&value), expected);
    }
}

//! Changes single values in the text of a configuration file and leaves the rest, comments
//! included, as it stands.

use serde_json::Value;
use serde_yaml_ng::Value as Yaml;

/// A new value for `section.name`; null takes the key out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Edit {
    /// The section.
    pub(crate) section: &'static str,
    /// The key in it.
    pub(crate) name: &'static str,
    /// Its new value.
    pub(crate) value: Value,
}

/// The text with the new values. Where the file is written in a way that cannot be edited line by
/// line, it is written anew as a whole, without its comments.
///
/// # Errors
/// When the text is no YAML with sections.
pub(crate) fn apply(text: &str, edits: &[Edit]) -> Result<String, serde_yaml_ng::Error> {
    let mut wanted: Yaml = serde_yaml_ng::from_str(text)?;
    for edit in edits {
        set(&mut wanted, edit)?;
    }
    let edited = edits
        .iter()
        .fold(text.to_owned(), |text, edit| edit_lines(&text, edit));
    match serde_yaml_ng::from_str::<Yaml>(&edited) {
        Ok(got) if without_empty(&got) == without_empty(&wanted) => Ok(edited),
        _ => serde_yaml_ng::to_string(&wanted),
    }
}

fn set(whole: &mut Yaml, edit: &Edit) -> Result<(), serde_yaml_ng::Error> {
    if !whole.is_mapping() {
        *whole = Yaml::Mapping(serde_yaml_ng::Mapping::new());
    }
    let section = &mut whole[edit.section];
    if !section.is_mapping() {
        *section = Yaml::Mapping(serde_yaml_ng::Mapping::new());
    }
    if edit.value.is_null() {
        if let Some(section) = section.as_mapping_mut() {
            section.remove(edit.name);
        }
    } else {
        section[edit.name] = serde_yaml_ng::to_value(&edit.value)?;
    }
    Ok(())
}

/// An empty section and none at all mean the same.
fn without_empty(whole: &Yaml) -> Yaml {
    let mut whole = whole.clone();
    if let Some(sections) = whole.as_mapping_mut() {
        sections.retain(|_, section| {
            !section.is_null() && !section.as_mapping().is_some_and(|keys| keys.is_empty())
        });
    }
    whole
}

fn edit_lines(text: &str, edit: &Edit) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let head = format!("{}:", edit.section);
    let line = |indent: usize| format!("{}{}: {}", " ".repeat(indent), edit.name, edit.value);
    let Some(at) = lines.iter().position(|line| is_head(line, &head)) else {
        if !edit.value.is_null() {
            lines.push(head);
            lines.push(line(2));
        }
        return joined(&lines);
    };
    let block = at + 1..end_of_block(&lines, at + 1, 0);
    let content = block.clone().find(|&i| is_content(&lines[i]));
    let indent = content.map_or(2, |i| indent_of(&lines[i]));
    let key = format!("{}:", edit.name);
    let found = block
        .clone()
        .find(|&i| indent_of(&lines[i]) == indent && is_head(lines[i].trim_start(), &key));
    let new = (!edit.value.is_null()).then(|| line(indent));
    match found {
        Some(i) => {
            let end = end_of_block(&lines, i + 1, indent);
            lines.splice(i..end, new);
        }
        None => {
            let last = block.rev().find(|&i| is_content(&lines[i]));
            let after = last.map_or(at + 1, |i| i + 1);
            lines.splice(after..after, new);
        }
    }
    joined(&lines)
}

fn joined(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn is_head(line: &str, head: &str) -> bool {
    line.strip_prefix(head)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

fn is_content(line: &str) -> bool {
    let text = line.trim_start();
    !text.is_empty() && !text.starts_with('#')
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The first line from `from` on that is content at `indent` or further left.
fn end_of_block(lines: &[String], from: usize, indent: usize) -> usize {
    let next =
        (from..lines.len()).find(|&i| is_content(&lines[i]) && indent_of(&lines[i]) <= indent);
    let end = next.unwrap_or(lines.len());
    // Blank lines and comments before the next key belong to that one.
    (from..end)
        .rev()
        .find(|&i| is_content(&lines[i]))
        .map_or(from, |i| i + 1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, edits: &[(&'static str, &'static str, Value)], expected: &str) {
        let edit = |(section, name, value): &(&'static str, &'static str, Value)| Edit {
            section,
            name,
            value: value.clone(),
        };
        let edits: Vec<Edit> = edits.iter().map(edit).collect();
        assert_eq!(apply(text, &edits).unwrap(), expected);
    }

    #[test]
    fn comments_and_order_stay() {
        check(
            "# ours\nserver:\n  # the port\n  port: 1 # one\n  host: a\n\n# logs\nlogging:\n    level: info\n",
            &[
                ("server", "port", json!(9000)),
                ("logging", "format", json!("json")),
            ],
            "# ours\nserver:\n  # the port\n  port: 9000\n  host: a\n\n# logs\nlogging:\n    level: info\n    format: \"json\"\n",
        );
    }

    #[test]
    fn missing_sections_are_made_and_keys_taken_out() {
        check("", &[("server", "port", json!(1))], "server:\n  port: 1\n");
        check(
            "server:\n",
            &[("server", "port", json!(1))],
            "server:\n  port: 1\n",
        );
        check(
            "server:\n  port: 1\n  host: a\n",
            &[("server", "port", Value::Null)],
            "server:\n  host: a\n",
        );
    }

    #[test]
    fn lists_over_several_lines_are_replaced_whole() {
        check(
            "security:\n  cors_origins:\n    - http://a\n    - http://b\n  rate_limit: 3\n",
            &[("security", "cors_origins", json!(["http://c"]))],
            "security:\n  cors_origins: [\"http://c\"]\n  rate_limit: 3\n",
        );
    }

    #[test]
    fn what_cannot_be_edited_by_lines_is_written_anew() {
        check(
            "server: {port: 1, host: a}\n",
            &[("server", "port", json!(2))],
            "server:\n  port: 2\n  host: a\n",
        );
        assert!(apply("server: [", &[]).is_err());
    }
}

//! What is wrong with a configuration, and where? Problems, gathered until nothing is left to read.

use std::cell::RefCell;
use std::fmt;

/// A position in a text, counted from one; columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// One thing that is wrong, or (as a warning) probably not what was meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where in the structure: `aliases.prod-chat.targets[2].model`. Empty for a text that
    /// is no TOML.
    pub path: String,
    /// Where in the text; `None` for what does not come from a text.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What would have been right.
    pub expected: Option<String>,
    /// The nearest valid names, best first.
    pub suggestions: Vec<String>,
}

impl Problem {
    pub(super) fn new(path: impl Into<String>, place: Option<Place>, message: impl Into<String>) -> Self {
        Self { path: path.into(), place, message: message.into(), expected: None, suggestions: Vec::new() }
    }

    /// One of a value that does not come from a text.
    pub fn at(path: impl Into<String>, message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::new(path, None, message).expected(expected)
    }

    /// Something that is doubtful about what stands at a path.
    pub fn remark(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(path, None, message)
    }

    pub(super) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(super) fn suggest(mut self, suggestions: Vec<String>) -> Self {
        self.suggestions = suggestions;
        self
    }

    /// The problem as a line that begins with the file's name, as compilers write them.
    pub fn in_file(&self, file: &str) -> String {
        match self.place {
            Some(_) => format!("{file}:{self}"),
            None => self.to_string(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place {
            write!(f, "{}:{}: ", place.line, place.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        if let Some(expected) = &self.expected {
            write!(f, "; expected {expected}")?;
        }
        if !self.suggestions.is_empty() {
            write!(f, "; did you mean {}?", one_of(&self.suggestions))?;
        }
        Ok(())
    }
}

/// Every problem of one configuration; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems {
    /// The file's name, if it has one.
    pub file: Option<String>,
    /// In the order of the text.
    pub list: Vec<Problem>,
}

impl Problems {
    /// The same, of this file.
    pub(super) fn in_file(self, path: &std::path::Path) -> Self {
        Self { file: Some(path.display().to_string()), ..self }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            match &self.file {
                Some(file) => f.write_str(&problem.in_file(file))?,
                None => write!(f, "{problem}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// `"a", "b" or "c"`.
pub(super) fn one_of<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{:?}", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Where readers leave what they find wrong, and go on with a default.
#[derive(Default)]
pub(super) struct Report {
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn problem(&self, problem: Problem) {
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn warn(&self, warning: Problem) {
        self.warnings.borrow_mut().push(warning);
    }

    /// The warnings, unless there was a problem; both in the order of the text.
    pub(super) fn finish(self) -> Result<Vec<Problem>, Vec<Problem>> {
        let sorted = |cell: RefCell<Vec<Problem>>| {
            let mut list = cell.into_inner();
            list.sort_by_key(|problem| problem.place);
            list
        };
        let problems = sorted(self.problems);
        if problems.is_empty() { Ok(sorted(self.warnings)) } else { Err(problems) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_one_line() {
        let place = Some(Place { line: 34, column: 12 });
        let problem = Problem::new("aliases.prod-chat.targets[2].model", place, "no model \"openai/gpt-5.6\"")
            .suggest(vec!["openai/gpt-5.5".into()]);
        assert_eq!(
            problem.in_file("pointsman.toml"),
            "pointsman.toml:34:12: aliases.prod-chat.targets[2].model: \
             no model \"openai/gpt-5.6\"; did you mean \"openai/gpt-5.5\"?"
        );
    }

    #[test]
    fn what_has_no_place_names_no_file() {
        let problem =
            Problem::new("env POINTSMAN_LISTEN", None, "is not an address").expected("an IP address and a port");
        assert_eq!(
            problem.in_file("pointsman.toml"),
            "env POINTSMAN_LISTEN: is not an address; expected an IP address and a port"
        );
    }
}

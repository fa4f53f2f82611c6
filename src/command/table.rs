//! How does a list look? Columns without lines between them, so that it can be read at 80
//! columns, searched and cut.

use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table as Drawn, Width};

use super::screen::Screen;
use super::words::plain;

/// How a column stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// Text that is kept in one piece, as names are.
    Name(&'static str),
    /// Text that may be broken where a terminal is narrow.
    Text(&'static str),
    /// A number, to the right.
    Number(&'static str),
}

impl Column {
    fn heading(self) -> &'static str {
        match self {
            Self::Name(heading) | Self::Text(heading) | Self::Number(heading) => heading,
        }
    }
}

/// A list of things, a row each.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// One without rows.
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row, a cell for each column; an empty one is what is not known.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| plain(&cell)).collect());
    }

    /// Its text; empty if there are no rows. A column in which nothing is known is left out.
    pub fn text(&self, screen: &Screen) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let known = |at: &usize| self.rows.iter().any(|row| row.get(*at).is_some_and(|cell| !cell.is_empty()));
        let shown: Vec<usize> = (0..self.columns.len()).filter(known).collect();
        let mut drawn = Drawn::new();
        drawn.load_style(comfy_table::presets::NOTHING);
        drawn.set_header(shown.iter().map(|at| Cell::new(self.columns[*at].heading())));
        for row in &self.rows {
            drawn.add_row(shown.iter().map(|at| Cell::new(cell(row, *at))));
        }
        let least: Vec<u16> = shown.iter().map(|at| self.least(*at).saturating_add(BETWEEN)).collect();
        let fits = |width: &u16| least.iter().map(|least| u32::from(*least)).sum::<u32>() <= u32::from(*width);
        match screen.width.filter(fits) {
            Some(width) => drawn.set_content_arrangement(ContentArrangement::Dynamic).set_width(width),
            // A terminal breaks a line where it ends, so that a word can be copied whole.
            None => drawn.set_content_arrangement(ContentArrangement::Disabled),
        };
        for ((position, at), least) in shown.iter().enumerate().zip(least) {
            let Some(column) = drawn.column_mut(position) else { continue };
            column.set_padding((0, BETWEEN));
            column.set_constraint(match self.columns[*at] {
                Column::Text(_) => ColumnConstraint::LowerBoundary(Width::Fixed(least)),
                Column::Name(_) | Column::Number(_) => ColumnConstraint::ContentWidth,
            });
            if matches!(self.columns[*at], Column::Number(_)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        drawn.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// How narrow a column can be without breaking a word, or a name.
    fn least(&self, at: usize) -> u16 {
        let whole = !matches!(self.columns[at], Column::Text(_));
        let cells = self.rows.iter().map(|row| cell(row, at)).chain([self.columns[at].heading()]);
        let pieces = cells.flat_map(|cell| if whole { vec![cell] } else { cell.split(' ').collect() });
        let longest = pieces.map(|piece| piece.chars().count()).max().unwrap_or(0);
        u16::try_from(longest).unwrap_or(u16::MAX)
    }
}

/// Blanks between columns.
const BETWEEN: u16 = 2;

/// What is not known is a dash, so that columns can be told apart.
fn cell(row: &[String], at: usize) -> &str {
    row.get(at).filter(|cell| !cell.is_empty()).map_or("-", String::as_str)
}

/// Facts of one thing, a line each; those that are not known are left out.
pub fn facts(facts: &[(&str, Option<String>)]) -> String {
    let known = || facts.iter().filter_map(|(name, fact)| Some((name, fact.as_ref().filter(|fact| !fact.is_empty())?)));
    let width = known().map(|(name, _)| name.len()).max().unwrap_or(0);
    known().map(|(name, fact)| format!("{name:width$}  {}\n", plain(fact))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::time::UnixMillis;

    const PIPE: Screen = Screen { json: false, width: None, colours: false, now: UnixMillis(0) };

    fn table(rows: &[[&str; 3]]) -> Table {
        let mut table = Table::new([Column::Name("NAME"), Column::Number("CALLS"), Column::Text("TARGETS")]);
        rows.iter().for_each(|row| table.row(row.map(str::to_owned)));
        table
    }

    #[test]
    fn numbers_stand_to_the_right_and_nothing_at_the_end_of_a_line() {
        let text = table(&[["chat", "5", "a, b"], ["other-chat", "1,200", ""]]).text(&PIPE);
        assert_eq!(text, "NAME        CALLS  TARGETS\nchat            5  a, b\nother-chat  1,200  -\n");
    }

    #[test]
    fn a_column_of_which_nothing_is_known_is_left_out() {
        assert_eq!(table(&[["chat", "", "a"]]).text(&PIPE), "NAME  TARGETS\nchat  a\n");
        assert_eq!(table(&[]).text(&PIPE), "");
    }

    #[test]
    fn a_terminal_breaks_text_and_no_names() {
        let name = "a-name-of-thirty-characters-so";
        let targets = "openai/gpt-5.5, anthropic/claude-opus-4.8, google/gemini-3-pro";
        let narrow = table(&[[name, "1", targets]]).text(&Screen { width: Some(70), ..PIPE });
        assert!(narrow.lines().all(|line| line.chars().count() <= 70) && narrow.contains(name), "{narrow}");
        assert!(narrow.lines().count() > 2 && narrow.contains("anthropic/claude-opus-4.8,"), "{narrow}");
        let too_narrow = table(&[[name, "1", targets]]).text(&Screen { width: Some(50), ..PIPE });
        assert_eq!(too_narrow, table(&[[name, "1", targets]]).text(&PIPE), "no word is broken");
        let piped = table(&[[name, "1", targets]]).text(&PIPE);
        assert!(piped.lines().count() == 2 && piped.contains(targets), "{piped}");
    }

    #[test]
    fn facts_stand_in_two_columns() {
        let told = facts(&[("name", Some("shop".into())), ("description", None), ("budget", Some("$5/day".into()))]);
        assert_eq!(told, "name    shop\nbudget  $5/day\n");
    }

    proptest! {
        #[test]
        fn a_row_is_a_line_in_a_pipe(rows in prop::collection::vec(("[a-z]{1,9}", ".{0,20}", ".{0,90}"), 1..9), width in 0u16..300) {
            let mut table = table(&[]);
            rows.iter().for_each(|(a, b, c)| table.row([a.clone(), b.clone(), c.clone()]));
            let text = table.text(&PIPE);
            prop_assert_eq!(text.lines().count(), rows.len() + 1);
            prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
            let _ = table.text(&Screen { width: Some(width), ..PIPE });
        }
    }
}

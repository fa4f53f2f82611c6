//! How good are judgements of a labelled file? Accuracy, macro-F1, calibration, what is taken for
//! what, and how accuracy rises where only the surest prompts are decided.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::api::classify::rounded;
use crate::classifier::calibration::{self, ClassScore, Coverage, Decision};
use crate::classifier::{Choice, Judgement, Scored};
use crate::command::screen::Screen;
use crate::command::table::{Column, Table};
use crate::domain::category::{BuiltIn, CategoryKind, CategoryScheme};
use crate::domain::grouping::DEFAULT_CATEGORY;

/// Judgements beside labels. The last class is Default: all that is in no category of the scheme.
#[derive(Debug)]
pub(super) struct Evaluation {
    classes: Vec<String>,
    /// Whatever is likeliest, without thresholds.
    likeliest: Vec<Decision>,
    /// What was chosen.
    chosen: Vec<Decision>,
    /// How many were judged by the strong classifier.
    strong: usize,
}

impl Evaluation {
    /// Of nothing yet.
    pub(super) fn new(scheme: &CategoryScheme) -> Self {
        let names = scheme.categories.iter().map(|category| category.name.to_string());
        let classes = names.chain([DEFAULT_CATEGORY.to_owned()]).collect();
        Self { classes, likeliest: Vec::new(), chosen: Vec::new(), strong: 0 }
    }

    /// The class of a label: a category of the scheme by its name or by what it is built in as, or
    /// Default.
    fn class(&self, scheme: &CategoryScheme, label: &str) -> usize {
        let built_in = BuiltIn::parse(label).map(CategoryKind::BuiltIn);
        let is = |category: &&crate::domain::category::CategorySpec| {
            category.name.as_str() == label || Some(&category.kind) == built_in.as_ref()
        };
        scheme.categories.iter().position(|category| is(&category)).unwrap_or(self.classes.len() - 1)
    }

    /// Takes in a judgement.
    pub(super) fn add(&mut self, scheme: &CategoryScheme, label: &str, judgement: &Judgement) {
        let default = self.classes.len() - 1;
        let truth = self.class(scheme, label);
        let mut shares = vec![0.0; self.classes.len()];
        for score in &judgement.scores {
            match score.of {
                Scored::Category(at) => shares[at] += score.probability,
                Scored::Hidden(_) => shares[default] += score.probability,
            }
        }
        let likeliest = (0..shares.len()).rev().max_by(|a, b| shares[*a].total_cmp(&shares[*b])).unwrap_or(default);
        self.likeliest.push(Decision { truth, guess: likeliest, confidence: shares[likeliest] });
        let guess = match judgement.choice {
            Choice::Category(at) => at,
            Choice::Default(_) => default,
        };
        self.chosen.push(Decision { truth, guess, confidence: shares[guess] });
        self.strong += usize::from(judgement.by == crate::classifier::Judge::Strong);
    }

    fn figures(&self) -> Figures {
        let confusion = calibration::confusion(&self.likeliest, self.classes.len());
        let default = self.classes.len() - 1;
        let inside = |decisions: &[Decision]| {
            decisions.iter().copied().filter(|decision| decision.truth != default).collect::<Vec<_>>()
        };
        let outside: Vec<Decision> = self.chosen.iter().copied().filter(|decision| decision.truth == default).collect();
        Figures {
            prompts: self.likeliest.len(),
            accuracy: calibration::accuracy(&self.likeliest),
            macro_f1: calibration::macro_f1(&confusion),
            calibration_error: calibration::calibration_error(&self.likeliest),
            chosen: calibration::accuracy(&self.chosen),
            inside: calibration::accuracy(&inside(&self.chosen)),
            outside: calibration::accuracy(&outside),
            by_class: calibration::by_class(&confusion),
            curve: calibration::coverage_curve(&self.likeliest),
            confusion,
        }
    }

    /// As JSON.
    pub(super) fn json(&self) -> Value {
        let figures = self.figures();
        let classes = self.classes.iter().zip(&figures.by_class).map(|(name, score)| {
            json!({
                "category": name,
                "prompts": score.support,
                "precision": rounded(score.precision),
                "recall": rounded(score.recall),
                "f1": rounded(score.f1),
            })
        });
        let curve = figures.curve.iter().map(|point| {
            json!({
                "coverage": rounded(point.coverage),
                "accuracy": rounded(point.accuracy),
                "confidence": rounded(point.threshold),
            })
        });
        json!({
            "prompts": figures.prompts,
            "accuracy": rounded(figures.accuracy),
            "macro_f1": rounded(figures.macro_f1),
            "calibration_error": rounded(figures.calibration_error),
            "with_thresholds": {
                "accuracy": rounded(figures.chosen),
                "categories": rounded(figures.inside),
                "default": rounded(figures.outside),
            },
            "strong": self.strong,
            "categories": classes.collect::<Vec<_>>(),
            "confusion": figures.confusion,
            "coverage": curve.collect::<Vec<_>>(),
        })
    }

    /// For people.
    pub(super) fn text(&self, screen: &Screen) -> String {
        let figures = self.figures();
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let mut text = String::new();
        // Infallible: a string takes all that is written to it.
        let _ = writeln!(
            text,
            "prompts             {} ({} judged by the strong classifier)\n\
             accuracy            {}\n\
             macro-F1            {:.3}\n\
             calibration error   {:.3} (expected, {} bins of equal width)\n\
             with thresholds     {} right; {} of the categories' prompts, {} of Default's\n",
            figures.prompts,
            self.strong,
            percent(figures.accuracy),
            figures.macro_f1,
            figures.calibration_error,
            calibration::BINS,
            percent(figures.chosen),
            percent(figures.inside),
            percent(figures.outside),
        );
        text.push_str(&self.class_table(&figures).text(screen));
        text.push_str("\nwhat (rows) was taken for what (columns)\n");
        text.push_str(&self.confusion_table(&figures).text(screen));
        text.push_str("\nif only the surest prompts are decided\n");
        text.push_str(&curve_table(&figures.curve).text(screen));
        text
    }

    fn class_table(&self, figures: &Figures) -> Table {
        let mut table = Table::new([
            Column::Name("category"),
            Column::Number("prompts"),
            Column::Number("precision"),
            Column::Number("recall"),
            Column::Number("F1"),
        ]);
        for (name, score) in self.classes.iter().zip(&figures.by_class) {
            let ClassScore { support, precision, recall, f1 } = score;
            let row = [name.clone(), support.to_string()];
            table.row(row.into_iter().chain([precision, recall, f1].map(|share| format!("{share:.2}"))));
        }
        table
    }

    /// Columns go by numbers, which stand before the rows' names.
    fn confusion_table(&self, figures: &Figures) -> Table {
        const NUMBERS: [&str; 20] = [
            "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19",
            "20",
        ];
        let columns = NUMBERS.iter().take(self.classes.len()).map(|number| Column::Number(number));
        let mut table = Table::new([Column::Name("category")].into_iter().chain(columns));
        for (at, (name, row)) in self.classes.iter().zip(&figures.confusion).enumerate() {
            let counts = row.iter().take(NUMBERS.len()).map(|count| match count {
                0 => "·".to_owned(),
                count => count.to_string(),
            });
            table.row([format!("{} {name}", at + 1)].into_iter().chain(counts));
        }
        table
    }
}

fn curve_table(curve: &[Coverage]) -> Table {
    let mut table =
        Table::new([Column::Number("decided"), Column::Number("accuracy"), Column::Number("least confidence")]);
    for point in curve {
        let shares = [point.coverage, point.accuracy].map(|share| format!("{:.1} %", share * 100.0));
        table.row(shares.into_iter().chain([format!("{:.3}", point.threshold)]));
    }
    table
}

#[derive(Debug)]
struct Figures {
    prompts: usize,
    accuracy: f64,
    macro_f1: f64,
    calibration_error: f64,
    chosen: f64,
    inside: f64,
    outside: f64,
    by_class: Vec<ClassScore>,
    confusion: Vec<Vec<usize>>,
    curve: Vec<Coverage>,
}

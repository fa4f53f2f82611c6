//! Does the routing hold what every file of `tests/scenarios` expects of it?

use super::study::measure::{Study, violations};
use super::study::parallel::side_by_side;
use super::study::router::Kind;
use super::study::scenario::Scenario;
use super::study::{fresh, table};

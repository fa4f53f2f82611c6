//! What did a person mean by a name that nobody has? The names closest to it.

/// Longer names are not typing mistakes, and comparing them costs time.
const LONGEST_NAME: usize = 128;

/// Below this likeness (0 to 1) a suggestion confuses more than it helps.
const LIKE_ENOUGH: f64 = 0.6;

/// The likeness of a name to a longer one that it begins.
const BEGINNING: f64 = 0.8;

/// At most three of `candidates` that resemble `name`, best first.
///
/// Among equals the alphabetically later comes first: of two versions that is the newer.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Vec::new();
    }
    let name = name.to_lowercase();
    let mut scored: Vec<(f64, &str)> = candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST_NAME)
        .map(|candidate| (likeness(&name, candidate), candidate))
        .filter(|(score, _)| *score >= LIKE_ENOUGH)
        .collect();
    scored.sort_by(|(a, name_a), (b, name_b)| b.total_cmp(a).then_with(|| name_b.cmp(name_a)));
    scored.dedup();
    scored.into_iter().take(3).map(|(_, candidate)| candidate.to_owned()).collect()
}

/// How alike two names are, from 0 to 1; a name without a vendor is also compared with
/// what follows the candidate's vendor.
fn likeness(name: &str, candidate: &str) -> f64 {
    let candidate = candidate.to_lowercase();
    let whole = likeness_of(name, &candidate);
    match candidate.split_once('/') {
        Some((_, bare)) if !name.contains('/') => whole.max(likeness_of(name, bare)),
        _ => whole,
    }
}

fn likeness_of(name: &str, candidate: &str) -> f64 {
    let longer = name.len().max(candidate.len()) as f64;
    let begins = name.len() >= 3 && candidate.starts_with(name);
    let least = if begins { BEGINNING } else { 0.0 };
    // Every letter that one has more is a change; most candidates are out by that alone.
    if 1.0 - name.len().abs_diff(candidate.len()) as f64 / longer < LIKE_ENOUGH {
        return least;
    }
    (1.0 - strsim::osa_distance(name, candidate) as f64 / longer).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_word() {
        assert_eq!(nearest("tragets", ["targets", "strategy", "name"]), ["targets"]);
        assert_eq!(nearest("base-url", ["base_url", "headers"]), ["base_url"]);
    }

    #[test]
    fn of_equally_near_versions_the_newer_comes_first() {
        let ids = ["openai/gpt-5.1", "openai/gpt-5.5", "openai/gpt-5.4", "openai/gpt-5.2", "mistral/mistral-large"];
        assert_eq!(nearest("openai/gpt-5.6", ids), ["openai/gpt-5.5", "openai/gpt-5.4", "openai/gpt-5.2"]);
    }

    #[test]
    fn a_name_without_vendor_is_compared_without_vendor() {
        assert_eq!(nearest("gpt5.5", ["openai/gpt-5.5", "google/gemini-pro"]), ["openai/gpt-5.5"]);
    }

    #[test]
    fn nothing_near_is_no_suggestion() {
        assert!(nearest("zebra", ["targets", "name"]).is_empty());
        assert!(nearest("", ["targets"]).is_empty());
        assert!(nearest(&"x".repeat(5000), ["targets"]).is_empty());
    }
}

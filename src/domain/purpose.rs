//! Why is an attempt made?

/// Why an attempt is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Purpose {
    /// It is the best candidate, or the next.
    #[default]
    Usual,
    /// The endpoint has never been measured.
    Cold,
    /// To know better, though another candidate looks best.
    Explore,
    /// Everything is out for a while.
    LastResort,
    /// A second copy of a request whose first content is late.
    Hedge,
}

impl Purpose {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// Every purpose, in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [Self::Usual, Self::Cold, Self::Explore, Self::LastResort, Self::Hedge];

    /// The stable name in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Cold => "cold",
            Self::Explore => "explore",
            Self::LastResort => "last_resort",
            Self::Hedge => "hedge",
        }
    }
}

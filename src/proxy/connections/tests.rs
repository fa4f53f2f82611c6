use std::net::Ipv4Addr;

use super::*;

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn counts(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

#[tokio::test]
async fn an_address_has_only_so_many_and_gets_its_places_back() {
    let connections = Arc::new(Connections::default());
    let first = connections.enter(address(1), Some(2));
    let second = connections.enter(address(1), Some(2));
    assert!(first.is_some() && second.is_some());
    assert!(connections.enter(address(1), Some(2)).is_none());
    assert!(connections.enter(address(2), Some(2)).is_some(), "another has its own");
    drop(first);
    assert!(connections.enter(address(1), Some(2)).is_some());
    assert_eq!((counts(&connections.over_address), counts(&connections.open)), (1, 1));
    drop(second);
    assert!(connections.all().by_address.is_empty(), "nothing is kept of who has gone");
}

#[tokio::test]
async fn the_longest_idle_goes_first_and_who_is_busy_stays() {
    let connections = Arc::new(Connections::default());
    let busy = connections.enter(address(1), None).unwrap();
    let under_way = busy.held.begin(false);
    let old = connections.enter(address(1), None).unwrap();
    connections.sweep(100, 100);
    let middle = connections.enter(address(1), None).unwrap();
    connections.sweep(100, 100);
    connections.sweep(100, 100);
    let young = connections.enter(address(1), None).unwrap();
    for (expected, next) in [(1, Some(&old)), (1, Some(&middle)), (0, None)] {
        assert_eq!(connections.evict(), expected);
        assert!(next.is_none_or(|next| next.held.order() == Order::End));
    }
    assert!([&busy, &young].iter().all(|place| place.held.order() == Order::Stay));
    drop(under_way);
    connections.sweep(100, 100);
    assert_eq!(connections.evict(), 0, "it has only just fallen quiet");
    connections.sweep(100, 100);
    assert!(connections.evict() == 1 && counts(&connections.evicted) == 3);
}

#[tokio::test]
async fn whoever_says_nothing_is_told_to_go() {
    let connections = Arc::new(Connections::default());
    let (silent, slow) = (connections.enter(address(1), None).unwrap(), connections.enter(address(1), None).unwrap());
    slow.held.partial.store(true, Relaxed);
    for _ in 0..3 {
        connections.sweep(3, 100);
    }
    assert_eq!(silent.held.order(), Order::Stay);
    connections.sweep(3, 100);
    assert_eq!((silent.held.order(), slow.held.order()), (Order::Finish, Order::End));
    assert_eq!((counts(&connections.idle), counts(&connections.slow_heads)), (1, 1));
    for _ in 0..3 {
        connections.sweep(3, 100);
    }
    assert_eq!(silent.held.order(), Order::End, "whoever does not go is shown out");
    assert_eq!(counts(&connections.idle), 1);
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_reset_at_speed_end_the_connection() {
    let connections = Arc::new(Connections::default());
    let place = connections.enter(address(1), None).unwrap();
    for _ in 0..1000 {
        place.held.begin(true).over();
        drop(place.held.begin(false));
    }
    assert_eq!(place.held.order(), Order::Stay, "answers that end, and HTTP/1, mean nothing");
    for _ in 0..1000 {
        drop(place.held.begin(true));
        tokio::time::advance(Duration::from_millis(60)).await;
    }
    assert_eq!(place.held.order(), Order::Stay, "a client may change its mind");
    for _ in 0..300 {
        drop(place.held.begin(true));
    }
    assert!(place.held.order() == Order::End && counts(&connections.resets) == 1);
}

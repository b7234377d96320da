use std::net::{Ipv4Addr, Shutdown, SocketAddr};

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::wire::{Plain, Wire};
use super::*;

/// An outbox where so many requests are under way; nobody keeps it.
fn outbox(in_flight: u64) -> Outbox {
    Outbox::new(1, Arc::new(AtomicU64::new(in_flight)))
}

/// A connection through the outbox, and its other side.
async fn pair(outbox: &Outbox) -> (Plain, TcpStream) {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let ours = ours.unwrap();
    ours.writable().await.unwrap();
    (Plain::new(ours, outbox), theirs.unwrap().0)
}

/// Whether anything has come yet.
fn has_come(stream: &TcpStream) -> bool {
    let mut space = [std::mem::MaybeUninit::uninit()];
    SockRef::from(stream).peek(&mut space).is_ok()
}

/// Fills what the kernel takes for a receiver that reads nothing.
async fn fill(plain: &Plain) -> usize {
    let piece = vec![b'.'; 1 << 20];
    let mut filled = 0;
    loop {
        let full =
            poll_fn(|context| Poll::Ready(plain.sender().poll_send_now(&[IoSlice::new(&piece)], context)));
        match full.await {
            Poll::Ready(sent) => filled += sent.unwrap(),
            Poll::Pending => return filled,
        }
    }
}

async fn read_exactly(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut space = vec![0; bytes];
    stream.read_exact(&mut space).await.unwrap();
    space
}

#[tokio::test]
async fn who_is_alone_waits_for_nobody() {
    let (mut plain, mut other) = pair(&outbox(1)).await;

    plain.write_all(b"alone").await.unwrap();

    assert_eq!(read_exactly(&mut other, 5).await, b"alone");
}

#[tokio::test]
async fn what_several_have_to_send_leaves_when_the_others_have_gone_on() {
    let outbox = outbox(2);
    outbox.keep();
    let (mut first, mut one) = pair(&outbox).await;
    let (mut second, mut two) = pair(&outbox).await;
    yield_now().await;

    first.write_all(b"first").await.unwrap();
    first.flush().await.unwrap();
    let other = tokio::spawn(async move {
        assert!(!has_come(&one), "the keeper was woken before this task and lets it go on");
        second.write_all(b"second").await.unwrap();
        (one, second)
    });

    assert_eq!(read_exactly(&mut two, 6).await, b"second");
    (one, _) = other.await.unwrap();
    assert_eq!(read_exactly(&mut one, 5).await, b"first");
}

#[tokio::test]
async fn answers_begin_with_others_and_their_other_pieces_leave_at_once() {
    let (plain, mut other) = pair(&outbox(2)).await;
    let mut wire = Wire::Plain(plain);
    let parts = [IoSlice::new(b"HTTP/1.1 200 OK\r\n\r\n"), IoSlice::new(b"a")];

    assert_eq!(wire.write_vectored(&parts).await.unwrap(), 20);
    assert!(!has_come(&other));
    assert_eq!(wire.write_vectored(&parts[1..]).await.unwrap(), 1);

    assert_eq!(read_exactly(&mut other, 21).await, b"HTTP/1.1 200 OK\r\n\r\naa");
}

#[tokio::test]
async fn a_last_word_follows_what_was_given_before() {
    let (plain, mut other) = pair(&outbox(2)).await;
    let mut wire = Wire::Plain(plain);

    wire.write_all(b"answer").await.unwrap();
    wire.try_write(b"last");

    assert_eq!(read_exactly(&mut other, 10).await, b"answerlast");
}

#[tokio::test]
async fn one_connections_pieces_keep_their_order_with_and_without_waiting() {
    let (mut plain, mut other) = pair(&outbox(2)).await;
    let large = vec![b'c'; MOST_PIECE_BYTES + 1];

    plain.write_all(b"a").await.unwrap();
    plain.write_all(b"b").await.unwrap();
    plain.write_all(&large).await.unwrap();
    plain.write_all(b"d").await.unwrap();
    plain.shutdown().await.unwrap();

    let mut all = Vec::new();
    other.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, [b"ab", &large[..], b"d"].concat());
}

#[tokio::test]
async fn a_connection_that_is_dropped_has_sent_what_it_was_given() {
    let outbox = outbox(2);
    outbox.keep();
    let (mut plain, mut other) = pair(&outbox).await;

    plain.write_all(b"last").await.unwrap();
    drop(plain);

    let mut all = Vec::new();
    other.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"last");
}

#[tokio::test]
async fn a_full_run_is_sent_at_once() {
    let outbox = outbox(2);
    let mut pairs = Vec::new();
    for _ in 0..MOST_PIECES {
        pairs.push(pair(&outbox).await);
    }

    for (plain, _) in &mut pairs {
        plain.write_all(b"one of many").await.unwrap();
    }

    for (_, other) in &mut pairs {
        assert_eq!(read_exactly(other, 11).await, b"one of many");
    }
}

#[tokio::test]
async fn what_does_not_fit_goes_on_when_there_is_room_though_its_owner_only_reads() {
    let outbox = outbox(2);
    outbox.keep();
    let (mut plain, mut other) = pair(&outbox).await;
    let filled = fill(&plain).await;

    plain.write_all(b"behind").await.unwrap();
    plain.sender().hurry();
    assert_eq!(plain.sender().state(), BEHIND);
    let reading = tokio::spawn(async move {
        let mut answer = [0; 6];
        plain.read_exact(&mut answer).await.unwrap();
        (plain, answer)
    });

    read_exactly(&mut other, filled).await;
    assert_eq!(read_exactly(&mut other, 6).await, b"behind");
    other.write_all(b"answer").await.unwrap();
    let (mut plain, answer) = reading.await.unwrap();
    assert_eq!(&answer, b"answer");
    plain.write_all(b"next").await.unwrap();
    assert_eq!(read_exactly(&mut other, 4).await, b"next");
}

#[tokio::test]
async fn flushing_waits_for_what_did_not_fit() {
    let outbox = outbox(2);
    let (mut plain, mut other) = pair(&outbox).await;
    let filled = fill(&plain).await;
    plain.write_all(b"behind").await.unwrap();
    plain.sender().hurry();

    let mut flushing = std::pin::pin!(plain.flush());
    assert!(flushing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let (flushed, _) = tokio::join!(flushing, read_exactly(&mut other, filled + 6));
    flushed.unwrap();
}

#[tokio::test]
async fn whoever_waits_for_an_answer_hears_that_its_request_could_not_be_sent() {
    let outbox = outbox(2);
    let (mut plain, other) = pair(&outbox).await;
    SockRef::from(plain.sender().socket()).shutdown(Shutdown::Write).unwrap();

    plain.write_all(b"never").await.unwrap();
    plain.sender().hurry();

    let mut answer = [0];
    assert_eq!(plain.read(&mut answer).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    drop(other);
}

#[test]
fn threads_share_the_trays_out() {
    let outbox = Outbox::new(2, Arc::default());
    let threads = (0..64).map(|_| {
        let outbox = outbox.clone();
        std::thread::spawn(move || (outbox.at(), outbox.at())).join().unwrap()
    });
    let trays: Vec<_> = threads.collect();

    assert!(trays.iter().all(|(first, again)| first == again));
    assert!((0..2).all(|at| trays.iter().any(|(tray, _)| *tray == at)));
}

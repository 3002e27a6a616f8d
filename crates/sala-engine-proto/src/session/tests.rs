use super::*;

const INTERVAL: Duration = Duration::from_millis(300);
const TIMEOUT: Duration = Duration::from_millis(200);

fn timing() -> Timing {
    Timing {
        ping_interval: INTERVAL,
        ping_timeout: TIMEOUT,
        ..Timing::default()
    }
}

fn open(revision: Revision, transport: Transport) -> (Session, Instant) {
    let now = Instant::now();
    (Session::new(timing(), revision, transport, now), now)
}

const TOO_SLOW: Action = Action::Close(CloseReason::PingTimeout, None);

#[test]
fn the_server_pings_after_the_interval_and_waits_for_the_pong() {
    let (mut session, start) = open(Revision::V4, Transport::WebSocket);
    assert_eq!(session.next_timeout(), Some(start + INTERVAL));
    assert_eq!(session.timeout(start + INTERVAL / 2), Action::None);
    let pinged = start + INTERVAL;
    assert_eq!(session.timeout(pinged), Action::SendPing);
    assert_eq!(session.timeout(pinged), Action::None);
    let ponged = pinged + TIMEOUT / 2;
    assert_eq!(session.packet(PacketType::Pong, ponged), Action::Heartbeat);
    assert_eq!(session.next_timeout(), Some(ponged + INTERVAL));
    assert_eq!(session.timeout(ponged + INTERVAL), Action::SendPing);
    assert_eq!(session.timeout(ponged + INTERVAL + TIMEOUT), TOO_SLOW);
}

#[test]
fn an_unsolicited_pong_arms_the_interval_again() {
    let (mut session, start) = open(Revision::V4, Transport::Polling);
    let later = start + INTERVAL / 2;
    assert_eq!(session.packet(PacketType::Pong, later), Action::Heartbeat);
    assert_eq!(session.next_timeout(), Some(later + INTERVAL));
}

#[test]
fn other_packets_extend_the_pong_deadline_once_per_ping() {
    let (mut session, start) = open(Revision::V4, Transport::WebSocket);
    let pinged = start + INTERVAL;
    assert_eq!(session.timeout(pinged), Action::SendPing);
    let first = pinged + TIMEOUT - Duration::from_millis(1);
    assert_eq!(session.packet(PacketType::Message, first), Action::Deliver);
    assert_eq!(session.next_timeout(), Some(first + TIMEOUT));
    let second = first + TIMEOUT / 2;
    assert_eq!(session.packet(PacketType::Message, second), Action::Deliver);
    assert_eq!(session.timeout(first + TIMEOUT), TOO_SLOW);
}

#[test]
fn a_revision_3_client_pings_and_the_server_never_does() {
    let (mut session, start) = open(Revision::V3, Transport::WebSocket);
    assert_eq!(session.timeout(start + INTERVAL), Action::None);
    let ping = start + INTERVAL + TIMEOUT - Duration::from_millis(1);
    assert_eq!(session.packet(PacketType::Ping, ping), Action::SendPong);
    assert_eq!(session.next_timeout(), Some(ping + INTERVAL + TIMEOUT));
    assert_eq!(session.timeout(ping + INTERVAL + TIMEOUT), TOO_SLOW);
}

#[test]
fn heartbeats_in_the_wrong_direction_end_the_session() {
    let wrong = Action::Close(
        CloseReason::TransportError,
        Some("invalid heartbeat direction"),
    );
    let (mut session, now) = open(Revision::V4, Transport::WebSocket);
    assert_eq!(session.packet(PacketType::Ping, now), wrong);
    let (mut session, now) = open(Revision::V3, Transport::WebSocket);
    assert_eq!(session.packet(PacketType::Pong, now), wrong);
}

#[test]
fn an_upgrade_takes_a_probe_and_a_commit() {
    let (mut session, now) = open(Revision::V4, Transport::Polling);
    assert!(session.can_upgrade());
    session.probe_attached(now);
    assert!(!session.can_upgrade());
    assert_eq!(
        session.probe_packet(PacketType::Ping, true, now),
        Action::AnswerProbe
    );
    assert_eq!(session.timeout(now), Action::None);
    let tick = now + RELEASE_INTERVAL;
    assert_eq!(session.next_timeout(), Some(tick));
    assert_eq!(session.timeout(tick), Action::ReleasePoll);
    assert_eq!(session.timeout(tick), Action::None);
    assert_eq!(
        session.probe_packet(PacketType::Upgrade, false, tick),
        Action::Upgrade
    );
    assert!(!session.can_upgrade());
    assert!(!session.is_probing());
}

#[test]
fn a_commit_without_a_probe_is_accepted() {
    let (mut session, now) = open(Revision::V4, Transport::Polling);
    session.probe_attached(now);
    assert_eq!(
        session.probe_packet(PacketType::Upgrade, false, now),
        Action::Upgrade
    );
}

#[test]
fn anything_else_on_a_probing_transport_drops_only_that_transport() {
    for (kind, probe) in [
        (PacketType::Ping, false),
        (PacketType::Message, false),
        (PacketType::Close, false),
        (PacketType::Pong, true),
    ] {
        let (mut session, now) = open(Revision::V4, Transport::Polling);
        session.probe_attached(now);
        assert_eq!(session.probe_packet(kind, probe, now), Action::DropProbe);
        assert!(
            session.can_upgrade(),
            "a new attempt is possible after {kind:?}"
        );
    }
}

#[test]
fn a_probe_that_does_not_commit_in_time_is_dropped() {
    let (mut session, now) = open(Revision::V4, Transport::Polling);
    let mut session_timing = timing();
    session_timing.upgrade_timeout = Duration::from_millis(50);
    session.timing = session_timing;
    session.probe_attached(now);
    assert_eq!(
        session.timeout(now + Duration::from_millis(50)),
        Action::DropProbe
    );
    assert!(session.can_upgrade());
}

#[test]
fn a_pong_due_over_polling_gets_its_full_time_on_the_new_transport() {
    let (mut session, start) = open(Revision::V4, Transport::Polling);
    let pinged = start + INTERVAL;
    assert_eq!(session.timeout(pinged), Action::SendPing);
    session.probe_attached(pinged);
    let committed = pinged + TIMEOUT - Duration::from_millis(1);
    assert_eq!(
        session.probe_packet(PacketType::Upgrade, false, committed),
        Action::Upgrade
    );
    assert_eq!(session.timeout(pinged + TIMEOUT), Action::None);
    assert_eq!(session.timeout(committed + TIMEOUT), TOO_SLOW);
}

#[test]
fn a_closing_session_delivers_nothing_and_gives_up_in_time() {
    let (mut session, now) = open(Revision::V4, Transport::Polling);
    session.close_pending(now);
    assert!(session.is_closing());
    assert_eq!(session.packet(PacketType::Message, now), Action::None);
    // Its heartbeat goes on while it waits.
    let gave_up = loop {
        let at = session.next_timeout().unwrap();
        match session.timeout(at) {
            Action::SendPing => assert_eq!(session.packet(PacketType::Pong, at), Action::Heartbeat),
            action => {
                assert_eq!(action, Action::Close(CloseReason::ForcedClose, None));
                break at;
            }
        }
    };
    assert_eq!(gave_up, now + Duration::from_secs(30));
}

#[test]
fn a_close_packet_ends_the_session() {
    let (mut session, now) = open(Revision::V4, Transport::Polling);
    assert_eq!(
        session.packet(PacketType::Close, now),
        Action::Close(CloseReason::TransportClose, None)
    );
    session.closed();
    assert_eq!(session.packet(PacketType::Message, now), Action::None);
    assert_eq!(session.next_timeout(), None);
}

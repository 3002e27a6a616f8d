use std::error::Error as _;

use super::*;

#[test]
fn texts_are_those_of_the_reference() {
    assert_eq!(Error::timeout().to_string(), "operation has timed out");
    assert_eq!(
        Error::reserved("disconnect").to_string(),
        "\"disconnect\" is a reserved event name"
    );
}

#[test]
fn each_error_answers_to_its_predicate_alone() {
    type Predicate = fn(&Error) -> bool;
    let predicates: [(&str, Predicate); 7] = [
        ("serialization", Error::is_serialization),
        ("deserialization", Error::is_deserialization),
        ("backlogged", Error::is_backlogged),
        ("timeout", Error::is_timeout),
        ("closed", Error::is_closed),
        ("reserved", Error::is_reserved_event),
        ("unsupported", Error::is_unsupported),
    ];
    let timeout = AdapterError::Timeout {
        missing: sala_adapter::adapter::Missing::Servers(Vec::new()),
        waited: std::time::Duration::from_secs(5),
        partial: sala_adapter::adapter::Answers::Servers(Vec::new()),
    };
    let errors = [
        ("serialization", Error::encode("x")),
        ("serialization", EncodeError::new("x").into()),
        ("deserialization", Error::decode("x")),
        ("backlogged", Error::too_many_acks()),
        ("backlogged", AdapterError::Backlogged.into()),
        ("timeout", Error::timeout()),
        ("timeout", timeout.into()),
        ("closed", Error::closed()),
        ("closed", AdapterError::Closed.into()),
        ("reserved", Error::reserved("connect")),
        ("unsupported", Error::unsupported("x")),
    ];
    for (name, error) in errors {
        for (predicate, is) in predicates {
            assert_eq!(is(&error), name == predicate, "{error:?} is {predicate}");
        }
    }
}

#[test]
fn an_error_names_its_source_and_is_one_word_large() {
    let error = Error::encode("a map key is no text");
    assert_eq!(
        error.source().map(ToString::to_string).as_deref(),
        Some("a map key is no text")
    );
    assert!(Error::closed().source().is_none());
    assert_eq!(size_of::<Error>(), size_of::<usize>());
}

#[test]
fn a_partial_answer_keeps_what_arrived() {
    let error = AckError::new(vec![1, 2], vec!["x".into()], Error::timeout());
    assert_eq!(error.to_string(), "operation has timed out");
    assert_eq!(error.responses(), [1, 2]);
    assert_eq!(error.missing(), [SocketId::from("x")]);
    assert!(error.is_timeout());
    assert!(Error::from(error).is_timeout());
}

#[test]
fn all_kinds_of_errors_become_errors_of_handlers() {
    fn number(text: &str) -> HandlerResult<i32> {
        Ok(text.parse::<i32>()?)
    }
    let error = number("x").expect_err("no number");
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
    assert_eq!(error.to_string(), "invalid digit found in string");

    let texts: [HandlerError; 3] = [
        "a".into(),
        String::from("a").into(),
        Boxed::from("a").into(),
    ];
    for error in texts {
        assert_eq!(error.to_string(), "a");
    }
    assert!(
        HandlerError::from(Error::timeout())
            .downcast_ref::<Error>()
            .is_some()
    );
}

#[test]
fn all_kinds_of_errors_become_refusals() {
    fn check(token: &str) -> Result<(), Refused> {
        token.parse::<u8>()?;
        Err("not authorized")?
    }
    assert_eq!(
        check("x").expect_err("no number").message(),
        "invalid digit found in string"
    );
    assert_eq!(
        check("7").expect_err("refused"),
        Refused::new("not authorized")
    );
}

#[test]
fn b015_a_refusal_serializes_as_the_reference_sends_it() {
    let text = |refused: &Refused| serde_json::to_string(refused).expect("it serializes");
    let refused = Refused::new("no");
    assert_eq!(text(&refused), r#"{"message":"no"}"#);
    let refused = refused.with_data(&serde_json::json!({"retry": 5}));
    assert_eq!(text(&refused), r#"{"message":"no","data":{"retry":5}}"#);
}

#[test]
fn a_context_says_what_happened_where_and_what_it_means() {
    let error = HandlerError::from("invalid type: string \"x\", expected i32");
    let mut context = ErrorContext {
        socket: None,
        namespace: "/chat",
        event: Some("move\n"),
        kind: ErrorKind::Arguments,
        error: &error,
    };
    let text = context.to_string();
    assert!(
        text.starts_with(
            "unexpected arguments: invalid type: string \"x\", expected i32 \
             [event \"move\\n\", namespace \"/chat\"] (the handler was not called"
        ),
        "{text}"
    );
    context.event = None;
    context.namespace = "";
    assert!(!context.to_string().contains('['));
}

#[test]
fn a_refusal_with_data_that_cannot_be_encoded_still_is_one() {
    let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let refused = Refused::new("no").with_data(&keys);
    assert_eq!(refused, Refused::new("no"));
}

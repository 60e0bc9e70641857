//! What instances say to each other survives its way as text, and what nobody can answer is answered so.

use crate::instance::{Shop, block_on, share};
use headwater_query::wire::{Answer, Ask, Question, Span, Times};
use headwater_query::{Blob, Error};

fn ask(what: Question) -> Ask {
    Ask {
        what,
        subtopology: 0,
        partition: 1,
        deadline_ms: 200,
        hops: 0,
        token: None,
        stale: false,
    }
}

#[test]
fn questions_and_answers_survive_json() {
    let span = Span {
        from: Some(Blob(vec![0, 255, 7])),
        times: Times::Windows {
            key: None,
            from_ms: -1,
            to_ms: i64::MAX,
        },
        ..Span::default()
    };
    let asked = ask(Question::Scan {
        store: "orders".into(),
        span: Box::new(span),
    });
    let text = serde_json::to_string(&asked).unwrap();
    assert_eq!(serde_json::from_str::<Ask>(&text).unwrap(), asked);
    let answer = Answer::Entries {
        entries: vec![(Blob(vec![1]), Blob(Vec::new()))],
        more: None,
        commit: 9,
        lag: Some(3),
    };
    let text = serde_json::to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), answer);
    let failed = Answer::Failed(Error::NotReady("moves".into()));
    let text = serde_json::to_string(&failed).unwrap();
    assert_eq!(serde_json::from_str::<Answer>(&text).unwrap(), failed);
}

#[test]
fn a_question_that_makes_no_sense_is_refused() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let get = |store: &str| Question::Get {
        store: store.into(),
        key: Blob(b"order-1".to_vec()),
    };
    block_on(async {
        let unknown = a.queries.answer(ask(get("nothing"))).await;
        assert_eq!(
            unknown,
            Answer::Failed(Error::UnknownStore("nothing".into()))
        );
        let mut other = ask(get("orders-store"));
        other.subtopology = 77;
        let other = a.queries.answer(other).await;
        assert!(
            matches!(other, Answer::Failed(Error::Refused(_))),
            "{other:?}"
        );
        let mut damaged = ask(get("orders-store"));
        damaged.token = Some("AAAA".into());
        let damaged = a.queries.answer(damaged).await;
        assert!(
            matches!(damaged, Answer::Failed(Error::Refused(_))),
            "{damaged:?}"
        );
        let mut nowhere = ask(get("orders-store"));
        nowhere.partition = 99;
        let nowhere = a.queries.answer(nowhere).await;
        assert!(
            matches!(nowhere, Answer::Failed(Error::NotReady(_))),
            "{nowhere:?}"
        );
    });
    a.stop(&shop);
}

//! Questions that travel together: whoever asks while others wait for their answer finds company
//! meanwhile.
//!
//! It is combining (Hendler, Incze, Shavit and Tzafrir, SPAA 2010): the first of a company asks for
//! all of it, on its own thread, so that no thread is needed beside those who ask. Somebody who is
//! alone asks at once, unless the last one was not: then company is expected, once.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::runtime::semaphore::Semaphore;

/// Where questions `Q` find company on their way to answers `A`.
pub struct Batcher<Q, A> {
    slots: Semaphore,
    together_max: usize,
    wait_max: Duration,
    /// How large the last company was, with those who came too late for it.
    expected: AtomicUsize,
    /// How long answers took of late, in microseconds; the longest that counts before there was
    /// one.
    lasted: AtomicU64,
    /// The company that may still be joined. Held for a moment only, and before a company's state.
    open: Mutex<Option<Arc<Company<Q, A>>>>,
}

/// Those who travel together, each with a seat. Who has the first one asks for all.
struct Company<Q, A> {
    state: Mutex<State<Q, A>>,
    joined: Condvar,
    answered: Condvar,
}

struct State<Q, A> {
    questions: Vec<Q>,
    /// By seat, each until it is taken. Too few of them: whoever asked has panicked.
    answers: Option<Vec<Option<A>>>,
}

impl<Q, A> Batcher<Q, A> {
    /// `slots`: for companies under way. More than `together_max` questions do not travel together.
    ///
    /// While enough companies are under way, the next one waits for them: up to four times as long
    /// as answers took of late. And once it may go, it waits, as long as one answer took, until it
    /// is as large as the last one and those who came too late for it together: who has an answer
    /// often comes back with the next question. If they do not come, the company after it does not
    /// wait for them; who is always alone never waits. Neither is longer than `wait_max`, which
    /// bounds what somebody whose answer takes very long costs the others.
    pub fn new(slots: Semaphore, together_max: usize, wait_max: Duration) -> Batcher<Q, A> {
        Batcher {
            slots,
            together_max,
            wait_max,
            expected: AtomicUsize::new(1),
            lasted: AtomicU64::new(wait_max.as_micros() as u64),
            open: Mutex::new(None),
        }
    }

    /// Answers the question, alone or together with others: `ask` is called after this question was
    /// put, on one of the threads that ask, and gives an answer to each question, in their order.
    /// Waits as long as that takes, which must have a limit of its own.
    pub fn ask(&self, question: Q, ask: impl FnOnce(Vec<Q>) -> Vec<A>) -> A {
        let (company, seat) = self.join(question);
        if seat == 0 {
            self.lead(&company, ask);
        }
        company.answer(seat)
    }

    /// How many questions could still be joined.
    pub fn waiting(&self) -> usize {
        let open = self.lock();
        open.as_ref()
            .map_or(0, |company| company.state().questions.len())
    }

    fn join(&self, question: Q) -> (Arc<Company<Q, A>>, usize) {
        let mut open = self.lock();
        if let Some(company) = open.as_ref() {
            let mut state = company.state();
            let seat = state.questions.len();
            if seat < self.together_max {
                state.questions.push(question);
                company.joined.notify_one();
                return (company.clone(), seat);
            }
        }
        let company = Arc::new(Company {
            state: Mutex::new(State {
                questions: vec![question],
                answers: None,
            }),
            joined: Condvar::new(),
            answered: Condvar::new(),
        });
        *open = Some(company.clone());
        (company, 0)
    }

    /// Waits for a slot, and asks for everybody who has joined until then.
    fn lead(&self, company: &Company<Q, A>, ask: impl FnOnce(Vec<Q>) -> Vec<A>) {
        let lasted = Duration::from_micros(self.lasted.load(Relaxed));
        let slot = self.slots.take((4 * lasted).min(self.wait_max));
        self.await_expected(company, lasted);
        self.lock()
            .take_if(|open| std::ptr::eq(Arc::as_ptr(open), company));
        let questions = std::mem::take(&mut company.state().questions);
        let count = questions.len();
        let began = Instant::now();
        // A panic goes on after it was told to the others, who would wait for ever.
        let asked = catch_unwind(AssertUnwindSafe(|| ask(questions)));
        drop(slot);
        self.note(count, began.elapsed());
        let (answers, panic) = match asked {
            Ok(answers) => (answers, None),
            Err(panic) => (Vec::new(), Some(panic)),
        };
        company.state().answers = Some(answers.into_iter().map(Some).collect());
        company.answered.notify_all();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn await_expected(&self, company: &Company<Q, A>, limit: Duration) {
        let expected = self.expected.load(Relaxed).min(self.together_max);
        if expected < 2 || limit.is_zero() {
            return;
        }
        let too_few = |state: &mut State<Q, A>| state.questions.len() < expected;
        let waiting = company
            .joined
            .wait_timeout_while(company.state(), limit, too_few);
        drop(waiting.expect(NEVER_POISONED));
    }

    /// Learns from a company of so many, and from those who would have liked to go with it.
    fn note(&self, count: usize, lasted: Duration) {
        // The longest of late, slowly forgotten: one that is alone has its answer sooner than a
        // large company.
        let before = self.lasted.load(Relaxed);
        let lasted = lasted.min(self.wait_max).as_micros() as u64;
        self.lasted.store(lasted.max(before - before / 8), Relaxed);
        self.expected.store(count + self.waiting(), Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Company<Q, A>>>> {
        self.open.lock().expect(NEVER_POISONED)
    }
}

impl<Q, A> fmt::Debug for Batcher<Q, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batcher({} waiting)", self.waiting())
    }
}

impl<Q, A> Company<Q, A> {
    fn answer(&self, seat: usize) -> A {
        let waiting = self
            .answered
            .wait_while(self.state(), |state| state.answers.is_none());
        let mut state = waiting.expect(NEVER_POISONED);
        let answer = state
            .answers
            .as_mut()
            .and_then(|all| all.get_mut(seat)?.take());
        drop(state);
        answer.expect("whoever asks for all has an answer for each, or has panicked")
    }

    fn state(&self) -> MutexGuard<'_, State<Q, A>> {
        self.state.lock().expect(NEVER_POISONED)
    }
}

const NEVER_POISONED: &str = "nothing panics under this lock";

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    /// One company at a time, of up to three.
    fn gathering() -> Batcher<usize, usize> {
        Batcher::new(Semaphore::new(1), 3, Duration::ZERO)
    }

    fn wait_until_joined(gathering: &Batcher<usize, usize>, questions: usize) {
        while gathering.waiting() < questions {
            thread::yield_now();
        }
    }

    #[test]
    fn who_is_alone_asks_at_once() {
        let answer = gathering().ask(7, |questions| {
            assert_eq!(questions, [7]);
            vec![49]
        });
        assert_eq!(answer, 49);
    }

    #[test]
    fn who_asks_meanwhile_travels_together_and_gets_the_own_answer() {
        let gathering = gathering();
        let (go, may_go) = channel::<()>();
        let companies = Mutex::new(Vec::new());
        let ask = |questions: Vec<usize>| {
            companies.lock().unwrap().push(questions.len());
            let squares = questions.iter().map(|question| question * question);
            squares.collect()
        };
        thread::scope(|scope| {
            let (gathering, ask) = (&gathering, &ask);
            let first = scope.spawn(move || {
                gathering.ask(1, |questions| {
                    may_go.recv().unwrap();
                    ask(questions)
                })
            });
            while gathering.slots.taken() == 0 {
                thread::yield_now();
            }
            let mut others = Vec::new();
            // Three fill a company; the fourth begins another.
            for (question, joined) in [(2, 1), (3, 2), (4, 3), (5, 1)] {
                others.push(scope.spawn(move || gathering.ask(question, ask)));
                wait_until_joined(gathering, joined);
            }
            go.send(()).unwrap();
            assert_eq!(first.join().unwrap(), 1);
            let answers = others.into_iter().map(|other| other.join().unwrap());
            assert!(answers.eq([4, 9, 16, 25]));
        });
        assert_eq!(companies.into_inner().unwrap(), [1, 3, 1]);
    }

    #[test]
    fn who_is_expected_is_waited_for_unless_they_stay_away() {
        let gathering = Batcher::new(Semaphore::new(1), 3, Duration::from_secs(100));
        let ask = |questions: Vec<usize>| {
            let count = questions.len();
            vec![count; count]
        };
        gathering.expected.store(2, Relaxed);
        thread::scope(|scope| {
            let first = scope.spawn(|| gathering.ask(1, ask));
            wait_until_joined(&gathering, 1);
            assert_eq!(gathering.ask(2, ask), 2);
            assert_eq!(first.join().unwrap(), 2);
        });
        assert_eq!(gathering.expected.load(Relaxed), 2);
        gathering.lasted.store(1000, Relaxed);
        assert_eq!(gathering.ask(3, ask), 1);
        assert_eq!(gathering.expected.load(Relaxed), 1);
    }

    #[test]
    fn an_answer_that_took_very_long_is_not_waited_for_again() {
        let limit = Duration::from_millis(1);
        let gathering = Batcher::<usize, usize>::new(Semaphore::new(1), 3, limit);
        gathering.note(1, Duration::from_secs(4));
        assert_eq!(gathering.lasted.load(Relaxed), 1000);
    }

    #[test]
    fn a_panic_reaches_all_of_its_company_and_nobody_else() {
        let gathering = gathering();
        let slot = gathering.slots.take(Duration::ZERO);
        thread::scope(|scope| {
            let gathering = &gathering;
            let ask = |_: Vec<usize>| -> Vec<usize> { panic!("on purpose") };
            let mut all = Vec::new();
            for joined in 1..=2 {
                all.push(scope.spawn(move || gathering.ask(1, ask)));
                wait_until_joined(gathering, joined);
            }
            drop(slot);
            assert!(all.into_iter().all(|one| one.join().is_err()));
        });
        assert_eq!(gathering.ask(1, |_| vec![2]), 2);
    }
}

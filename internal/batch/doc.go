// Package batch turns many callers into one transaction.
//
// A durable commit costs the same whether it carries one booking or five hundred. A hot row makes this worse: if each
// of 256 callers locks it in turn, 256 commits stand in line. So let them share: while one transaction is on its way
// to the disk, the next callers gather, and all of them go in the one after it.
//
//	Do ─┐                                              ┌─► answer 1
//	Do ─┼─► waiting under "phone" ─► run(phone, 1 2 3) ┼─► answer 2
//	Do ─┘                            one transaction   └─► answer 3
//
// You write one function that does a lot of requests at once, and give it to [New]. Everybody calls [Group.Do] as if
// alone, and gets an answer of their own. [Result] is for what one request deserves ("sold out"); the error that your
// function returns is for the lot ("the transaction was rolled back").
//
// # When a batch starts
//
// At once, when its key has nothing running: a lonely request waits for nobody. Otherwise when the batch before it
// ends; what came meanwhile goes together, first come first, at most MaxSize. There is one refinement. Those who
// were just answered tend to ask again within microseconds, and the first of them would run alone while the others
// stand in line behind. With Linger set, a key that has just run several requests waits for as many again, but never
// longer than Linger after the end of that batch. A fraction of a commit's time is a good choice; on an idle machine
// Go's timers round it up to a millisecond. Without it, the worker only lets the answered run before it looks again.
//
// Pipeline lets several batches of one key run at once. It helps when a run spends its time apart from the lock
// that makes the key hot: one batch computes while the other commits. A further batch begins once it is as large as the one that began
// before it, or that one has ended: small ones in haste would cost more than they save, and this way they become equal.
//
// Keys share Concurrency workers and take turns, one batch a turn. A hot key fills its own queue and its own turns,
// never those of the key beside it.
//
// # When a lot fails
//
// Your function rolls back and returns an error, or panics. Classify says what that means:
//
//   - [Split]: a request among them is to blame. The lot is halved and each half run by itself, in order, until the
//     poisoned stand alone with their error and all the others have their answers. To find k of n takes about
//     2k·log₂(n/k) + 2k runs; MaxRuns bounds it.
//   - [Retry]: nobody is to blame and it will pass, like a serialisation failure. The same lot runs again, Retries times.
//   - [Fail]: nobody is to blame and it will not pass soon, like a lost connection. Everybody not yet answered gets the error.
//
// A commit whose answer got lost may have happened, so a request may run again after it took effect: carry an
// idempotency key, and look for it inside the transaction.
//
// # When a caller leaves
//
// A caller whose context ends before its batch is taken was never there: its request does not run. One that leaves
// later gets its context's error at once, while the batch goes on for the others, the leaver's request included.
// The context of a run belongs to no caller. It carries no caller's values (and so nobody's rights), and it ends
// after Timeout, or when the last of its callers has stopped waiting, if all of them have a deadline.
//
// # When there is too much
//
// A full queue refuses at once with a [Refusal], a fault.Unavailable that says when to come back. Close refuses the
// new, finishes what waits, and returns when the last worker has gone. Nothing here polls, there is no goroutine for
// each request, and a group that nobody uses has no goroutine at all.
package batch

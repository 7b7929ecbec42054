//! The rules of ranges and of the choice, each broken in turn.

/// Which rule of the protocol is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    /// A thief says what it does only after it has cut the victim's range.
    ExchangesBeforeIntent,
    /// It says who takes from whom before it says what.
    IntentBeforeRange,
    /// It makes the range its own before it has cut it off the victim's.
    OwnBeforeExchange,
    /// It says that it is done before the range is its own.
    ClearsBeforeOwn,
    /// Where the owner was faster, it takes another part than it says.
    KeepsFirstRange,
    /// Nobody ends what a dead thief began.
    NobodyEnds,
    /// Who ends it stores the thief's range although the thief had, and goes on from it.
    EndsAgain,
    /// Who ends it takes a range that the thief has begun on for one that it was not given.
    ComparesWholeRanges,
    /// Who ends it does not ask whether the exchange took place.
    EndsWhatWasNotTaken,
    /// A thief takes the chunk that its victim has in hand.
    TakesWhatIsInHand,
    /// A range that is empty at first ends where another's does.
    EmptyWhereOthersEnd,
    /// A thief does not take the lock.
    StealsWithoutLock,
    /// An undo word does not say of which chunk it is.
    UndoWithoutChunk,
    /// Neither does it, and it is reset once the chunk is committed.
    ResetsUndoAfterCommit,
    /// An owner commits before its last block is final.
    CommitsBeforeLastBlock,
    /// An owner commits by a load and a store, not by an addition.
    CommitsByStore,
    /// Who looks what is left does not look again whether a transfer began meanwhile.
    LooksOnce,
    /// It looks, but a word says only that none goes on, not how many there were.
    TransfersNotCounted,
    /// It does not count what passes from one to another.
    ForgetsWhatPasses,
    /// The choice is known before the ranges are there.
    ChoiceBeforeRanges,
    /// Once ranges are chosen, nobody looks for orphans of the queue.
    ForgetsOrphansOnceChosen,
}

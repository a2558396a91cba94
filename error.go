package cairn

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what a failure means to whoever can act on it. Kinds cross the
// wire as their number, so the numbers never change.
type Kind uint8

const (
	// Internal is a failure nobody foresaw; the zero value, so that an error
	// without a kind is never taken for a milder one.
	Internal Kind = 0
	// NotFound: the thing asked for is not there, and the answer is certain.
	NotFound Kind = 1
	// Corrupt: bytes that fail their hash or seal. Report them; do not retry
	// the same copy; do not serve them.
	Corrupt Kind = 2
	// Unavailable: not now; another node or a later try may do.
	Unavailable Kind = 3
	// Full: no room; another node may have some.
	Full Kind = 4
	// Denied: the caller may not do this.
	Denied Kind = 5
	// Invalid: the request is wrong and will stay wrong.
	Invalid Kind = 6
	// Exists: the thing to be made is already there with other content.
	Exists Kind = 7
)

var kindNames = [...]string{"internal", "not found", "corrupt", "unavailable", "full", "denied", "invalid", "exists"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error makes a Kind usable as a target of errors.Is:
// errors.Is(err, cairn.NotFound).
func (k Kind) Error() string { return k.String() }

// Error is a failure somebody can act upon.
type Error struct {
	Op   string // what was being done, e.g. "put shard"
	Kind Kind
	Hint string // what the reader may do about it; may be empty
	Err  error  // the cause; may be nil
}

// NewError returns an *Error with the given parts.
func NewError(op string, kind Kind, err error) *Error {
	return &Error{Op: op, Kind: kind, Err: err}
}

// Errorf returns an *Error whose cause is formatted as by fmt.Errorf.
func Errorf(op string, kind Kind, format string, args ...any) *Error {
	return &Error{Op: op, Kind: kind, Err: fmt.Errorf(format, args...)}
}

// WithHint returns e with its hint set.
func (e *Error) WithHint(hint string) *Error {
	e.Hint = hint
	return e
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Op + ": " + e.Kind.String()
	}
	return e.Op + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports whether target is e's Kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf returns the kind of the outermost *Error in err's chain. A deadline
// or a cancellation is Unavailable; any other error is Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unavailable
	}
	return Internal
}

// HintOf returns the first hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

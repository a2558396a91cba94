package directory

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// checkText accepts up to limit bytes of printable UTF-8: names come from
// strangers and end up in terminals, logs and pages.
func checkText(s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("text of %d bytes, at most %d are allowed", len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("text %q is not UTF-8", s)
	}
	for _, c := range s {
		if !unicode.IsPrint(c) {
			return fmt.Errorf("text %q holds a character that does not print", s)
		}
	}
	return nil
}

// CheckNetwork returns an error unless name can name a network: 1 to 64 of
// a-z, 0-9, '-', '_' and '.'. It becomes part of protocol names.
func CheckNetwork(name string) error {
	if len(name) == 0 || len(name) > 64 {
		return fmt.Errorf("network name of %d bytes, want 1 to 64", len(name))
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return fmt.Errorf("network name %q: want a-z, 0-9, '-', '_' and '.'", name)
		}
	}
	return nil
}

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Print writes a result to stdout: v as JSON with --json, else what text does.
func (a *App) Print(v any, text func(w io.Writer) error) error {
	if !a.JSON {
		return text(a.IO.Out)
	}
	enc := json.NewEncoder(a.IO.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// Table writes rows under a header in aligned columns.
func Table(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		for i := range row {
			if row[i] == "" {
				row[i] = "-"
			}
			row[i] = printable(row[i])
		}
		if _, err := fmt.Fprintln(tw, strings.Join(row, "\t")); err != nil {
			return fmt.Errorf("write table: %w", err)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// Fields writes "name: value" lines with the values aligned.
func Fields(w io.Writer, pairs ...string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if _, err := fmt.Fprintf(tw, "%s:\t%s\n", pairs[i], printable(pairs[i+1])); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// printable replaces what could move a terminal's cursor: keys and node names
// are chosen by others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) {
			return '\uFFFD'
		}
		return r
	}, s)
}

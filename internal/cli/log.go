package cli

import (
	"context"
	"log/slog"
)

// AtLeast returns a logger that drops what is below level, whatever log lets
// through.
func AtLeast(log *slog.Logger, level slog.Level) *slog.Logger {
	return slog.New(floor{log.Handler(), level})
}

type floor struct {
	slog.Handler
	level slog.Level
}

func (f floor) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= f.level && f.Handler.Enabled(ctx, level)
}

func (f floor) WithAttrs(attrs []slog.Attr) slog.Handler {
	return floor{f.Handler.WithAttrs(attrs), f.level}
}

func (f floor) WithGroup(name string) slog.Handler { return floor{f.Handler.WithGroup(name), f.level} }

package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"
)

// App is one command-line program. Its fields are set before Run, except for
// those that flags set.
type App struct {
	Name      string // as in messages
	EnvPrefix string // "CAIRN_"
	Root      *cobra.Command
	IO        Streams

	JSON  bool // --json
	Quiet bool // --quiet

	logLevel  string
	logFormat string
	began     bool // a command's own code runs; errors before are of usage
}

// New returns a program without commands.
func New(name, envPrefix, short, long, version string, io Streams) *App {
	a := &App{Name: name, EnvPrefix: envPrefix, IO: io}
	a.Root = &cobra.Command{
		Use: name, Short: short, Long: long, Version: version,
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.configure(cmd); err != nil {
				return err
			}
			a.began = true
			return nil
		},
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	a.Root.SetIn(io.In)
	a.Root.SetOut(io.Out)
	a.Root.SetErr(io.Err)
	f := a.Root.PersistentFlags()
	f.BoolVar(&a.JSON, "json", false, "write results as JSON")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "no progress and no notes")
	f.String(configFlag, "", "configuration file in TOML (default: config.toml in --dir)")
	f.StringVar(&a.logLevel, "log-level", "info", "least level to log: debug, info, warn, error")
	f.StringVar(&a.logFormat, "log-format", "text", "form of log lines: text or json")
	return a
}

// Group returns a command that only holds others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		return Usage("%s needs a command", cmd.CommandPath()).WithHint("see " + cmd.CommandPath() + " --help")
	}}
	g.AddCommand(commands...)
	return g
}

// Run runs the command line args and returns the exit code. A command ends
// soon after ctx does.
func (a *App) Run(ctx context.Context, args []string) int {
	a.Root.SetArgs(args)
	cmd, err := a.Root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if !a.began && !isKinded(err) {
		err = Usage("%w", err).WithHint("see " + cmd.CommandPath() + " --help")
	}
	a.printError(err)
	return ExitCode(err)
}

// isKinded reports whether err already says what kind of failure it is.
func isKinded(err error) bool {
	return ExitCode(err) != ExitFailure || errors.Is(err, context.Canceled)
}

// Logger returns the logger that the flags ask for, writing to stderr.
func (a *App) Logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return nil, Usage("--log-level %q: want debug, info, warn or error", a.logLevel)
	}
	options := &slog.HandlerOptions{Level: level}
	switch a.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(a.IO.Err, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(a.IO.Err, options)), nil
	}
	return nil, Usage("--log-format %q: want text or json", a.logFormat)
}

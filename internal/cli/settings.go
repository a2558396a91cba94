package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cairn-store/cairn"
)

// configFlag and dirFlag are where the configuration file is found: the file
// named by --config, or config.toml in --dir if there is one.
const (
	configFlag = "config"
	dirFlag    = "dir"
	configName = "config.toml"
)

// notSettings are flags that make sense on a command line only.
var notSettings = []string{"help", "version", configFlag}

// configure gives every flag of cmd that was not on the command line its value
// from the environment, else from the configuration file.
//
// In the file, a key is a flag's name. Keys at the top count for every command
// that has the flag; those in a table named after a command ("[gateway]",
// "[node.ls]") count for that command and win. A key that is no flag of any
// command is an error, because a misspelt setting must not be ignored.
func (a *App) configure(cmd *cobra.Command) error {
	flags := cmd.Flags()
	fromEnv := koanf.New(".")
	err := fromEnv.Load(env.Provider(".", env.Opt{
		Prefix:        a.EnvPrefix,
		EnvironFunc:   func() []string { return a.IO.Environ },
		TransformFunc: a.envKey,
	}), nil)
	if err != nil {
		return fmt.Errorf("read environment: %w", err)
	}
	path, required := a.configPath(flags, fromEnv)
	k := koanf.New(".")
	if path != "" {
		if err := a.loadFile(k, cmd, path, required); err != nil {
			return err
		}
	}
	origin := map[string]string{}
	for _, key := range k.Keys() {
		origin[key] = path
	}
	for _, key := range fromEnv.Keys() {
		origin[key] = a.envName(key)
	}
	if err := k.Merge(fromEnv); err != nil {
		return fmt.Errorf("merge settings: %w", err)
	}
	return apply(flags, k, origin)
}

// apply sets the flags that were not given to what the other layers say.
func apply(flags *pflag.FlagSet, k *koanf.Koanf, origin map[string]string) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		from, layered := origin[f.Name]
		if f.Changed || !layered {
			return
		}
		if err := setFlag(flags, f, k); err != nil {
			errs = append(errs, cairn.Errorf("read settings", cairn.Invalid, "%s: %s: %w", from, f.Name, err))
		}
	})
	return errors.Join(errs...)
}

func setFlag(flags *pflag.FlagSet, f *pflag.Flag, k *koanf.Koanf) error {
	value := k.String(f.Name)
	if list, ok := k.Get(f.Name).([]any); ok {
		words := make([]string, len(list))
		for i := range list {
			words[i] = fmt.Sprint(list[i])
		}
		value = strings.Join(words, ",")
	}
	return flags.Set(f.Name, value)
}

// configPath returns the configuration file, and whether it has to exist.
func (a *App) configPath(flags *pflag.FlagSet, fromEnv *koanf.Koanf) (path string, required bool) {
	get := func(name string) string {
		f := flags.Lookup(name)
		switch {
		case f == nil:
			return ""
		case !f.Changed && fromEnv.Exists(name):
			return fromEnv.String(name)
		}
		return f.Value.String()
	}
	if path := get(configFlag); path != "" {
		return path, true
	}
	if dir := get(dirFlag); dir != "" {
		return filepath.Join(dir, configName), false
	}
	return "", false
}

func (a *App) loadFile(into *koanf.Koanf, cmd *cobra.Command, path string, required bool) error {
	op := "read " + path
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if !required {
			return nil
		}
		return cairn.NewError(op, cairn.Invalid, errors.New("there is no such configuration file"))
	}
	whole := koanf.New(".")
	if err := whole.Load(file.Provider(path), toml.Parser()); err != nil {
		return cairn.NewError(op, cairn.Invalid, err)
	}
	table := tableOf(cmd)
	var general, own = map[string]any{}, map[string]any{}
	for _, key := range whole.Keys() {
		owner, name := a.splitKey(key)
		if owner == nil || !isSetting(owner, name) {
			return cairn.Errorf(op, cairn.Invalid, "%q is not a setting", key).
				WithHint("settings are the names of flags: see " + a.Name + " --help")
		}
		switch tableOf(owner) {
		case table:
			own[name] = whole.Get(key)
		case "":
			general[name] = whole.Get(key)
		}
	}
	for _, layer := range []map[string]any{general, own} {
		for name, value := range layer {
			if err := into.Set(name, value); err != nil {
				return fmt.Errorf("%s: %w", op, err)
			}
		}
	}
	return nil
}

// splitKey returns the command a key of the file is for, the root for a key at
// the top, and the name of the setting. The command is nil if there is none.
func (a *App) splitKey(key string) (*cobra.Command, string) {
	parts := strings.Split(key, ".")
	cmd := a.Root
	for _, word := range parts[:len(parts)-1] {
		i := slices.IndexFunc(cmd.Commands(), func(c *cobra.Command) bool { return c.Name() == word })
		if i < 0 {
			return nil, ""
		}
		cmd = cmd.Commands()[i]
	}
	return cmd, parts[len(parts)-1]
}

// isSetting reports whether name is a flag of cmd or of a command below it.
func isSetting(cmd *cobra.Command, name string) bool {
	if slices.Contains(notSettings, name) {
		return false
	}
	if cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil || cmd.PersistentFlags().Lookup(name) != nil {
		return true
	}
	return slices.ContainsFunc(cmd.Commands(), func(c *cobra.Command) bool { return isSetting(c, name) })
}

// tableOf returns the name of the table of a command: "" of the root, "node.ls".
func tableOf(cmd *cobra.Command) string {
	words := strings.Fields(cmd.CommandPath())
	return strings.Join(words[1:], ".")
}

// envKey turns CAIRN_S3_TLS into "s3-tls". Empty values count as not set.
func (a *App) envKey(name, value string) (string, any) {
	key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, a.EnvPrefix), "_", "-"))
	if value == "" || (key != configFlag && !isSetting(a.Root, key)) {
		return "", nil
	}
	return key, value
}

func (a *App) envName(key string) string {
	return a.EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

package policy

import (
	"slices"
	"strings"

	"github.com/cairn-store/cairn"
)

// MaxDocument is the largest document, in bytes.
const MaxDocument = 20 << 10

const (
	maxStatements = 256
	arnPrefix     = "arn:aws:s3:::"
	anybody       = "*"
)

// Policy is what a document says. It is never changed.
type Policy struct{ statements []statement }

// statement applies to a request when every part of it does.
type statement struct {
	deny       bool
	principals []string // "*", an account, or a key of an account: "account/key"
	actions    []string // patterns, lower-case
	resources  []string // patterns: "bucket" or "bucket/key"
	conditions []condition
	// notActions and notResources turn the patterns around.
	notActions, notResources bool
}

func invalid(format string, args ...any) error {
	return cairn.Errorf("read bucket policy", cairn.Invalid, format, args...)
}

func clip(s string) string { return s[:min(len(s), 128)] }

// Parse reads a document. Its errors are cairn.Invalid, and their text is for
// whoever wrote it.
func Parse(document []byte) (*Policy, error) {
	if len(document) > MaxDocument {
		return nil, invalid("Policy exceeds the maximum allowed document size of %d bytes", MaxDocument)
	}
	top, err := parseJSON(document)
	if err != nil {
		return nil, err
	}
	var list []any
	for _, m := range top {
		switch m.name {
		case "Version":
			if m.value != "2012-10-17" && m.value != "2008-10-17" {
				return nil, invalid("The policy must contain a valid version string")
			}
		case "Id":
			if _, ok := m.value.(string); !ok {
				return nil, invalid("The policy's Id is not a text")
			}
		case "Statement":
			var ok bool
			if list, ok = m.value.([]any); !ok {
				list = []any{m.value}
			}
		default:
			return nil, invalid("Unknown field %s", clip(m.name))
		}
	}
	if len(list) == 0 || len(list) > maxStatements {
		return nil, invalid("Missing required field Statement, or more than %d of them", maxStatements)
	}
	p := &Policy{}
	for _, v := range list {
		o, ok := v.(object)
		if !ok {
			return nil, invalid("A statement is not an object")
		}
		s, err := parseStatement(o)
		if err != nil {
			return nil, err
		}
		p.statements = append(p.statements, s)
	}
	return p, nil
}

func parseStatement(o object) (statement, error) {
	var s statement
	var err error
	for _, m := range o {
		switch m.name {
		case "Sid":
			if _, ok := m.value.(string); !ok {
				err = invalid("A Sid is not a text")
			}
		case "Effect":
			if s.deny = m.value == "Deny"; !s.deny && m.value != "Allow" {
				err = invalid("Invalid effect: it is Allow or Deny")
			}
		case "Principal":
			s.principals, err = parsePrincipal(m.value)
		case "Action", "NotAction":
			s.notActions = m.name == "NotAction"
			s.actions, err = parseActions(m.value)
		case "Resource", "NotResource":
			s.notResources = m.name == "NotResource"
			s.resources, err = parseResources(m.value)
		case "Condition":
			s.conditions, err = parseConditions(m.value)
		default:
			err = invalid("Unknown field %s", clip(m.name))
		}
		if err != nil {
			return s, err
		}
	}
	return s, s.complete(o)
}

func (s *statement) complete(o object) error {
	for _, names := range [][]string{{"Effect"}, {"Principal"}, {"Action", "NotAction"}, {"Resource", "NotResource"}} {
		n := 0
		for _, name := range names {
			if _, ok := o.get(name); ok {
				n++
			}
		}
		switch n {
		case 0:
			return invalid("Missing required field %s", names[0])
		case 2:
			return invalid("A statement has %s or %s, not both", names[0], names[1])
		}
	}
	return nil
}

// parsePrincipal reads "*" or {"AWS": …, "CanonicalUser": …}.
func parsePrincipal(v any) ([]string, error) {
	if v == anybody {
		return []string{anybody}, nil
	}
	o, ok := v.(object)
	if !ok || len(o) == 0 {
		return nil, invalid("Invalid principal in policy")
	}
	var all []string
	for _, m := range o {
		names, ok := texts(m.value)
		if !ok || m.name != "AWS" && m.name != "CanonicalUser" {
			return nil, invalid("Invalid principal in policy")
		}
		for _, name := range names {
			p, ok := principal(name, m.name == "AWS")
			if !ok {
				return nil, invalid("Invalid principal in policy: %q", clip(name))
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// principal reads "*", an account, "arn:aws:iam::account:root" or
// "arn:aws:iam::account:user/key".
func principal(name string, arns bool) (string, bool) {
	if arns && name == anybody {
		return name, true
	}
	if rest, ok := strings.CutPrefix(name, "arn:aws:iam::"); ok && arns {
		account, who, _ := strings.Cut(rest, ":")
		key, isUser := strings.CutPrefix(who, "user/")
		switch {
		case !plainName(account):
			return "", false
		case who == "root":
			return account, true
		case isUser && plainName(key):
			return account + "/" + key, true
		}
		return "", false
	}
	return name, plainName(name)
}

func plainName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune("*?/:$", r) })
}

func parseActions(v any) ([]string, error) {
	list, ok := texts(v)
	if !ok {
		return nil, invalid("Policy has invalid action")
	}
	for i, a := range list {
		list[i] = strings.ToLower(a)
		if a != anybody && !slices.ContainsFunc(Actions, func(known string) bool { return like(list[i], strings.ToLower(known)) }) {
			return nil, invalid("Policy has invalid action: %q", clip(a))
		}
	}
	return list, nil
}

func parseResources(v any) ([]string, error) {
	list, ok := texts(v)
	if !ok {
		return nil, invalid("Policy has invalid resource")
	}
	for i, r := range list {
		name, ok := strings.CutPrefix(r, arnPrefix)
		if !ok || name == "" || variable(r) {
			return nil, invalid("Policy has invalid resource: %q", clip(r))
		}
		list[i] = name
	}
	return list, nil
}

// variable reports whether s has a policy variable, which are not supported.
func variable(s string) bool { return strings.Contains(s, "${") }

// Check refuses a policy that speaks of other buckets, or of accounts that
// nobody here has: it would not do what its author thinks.
func (p *Policy) Check(bucket, account string) error {
	for _, s := range p.statements {
		for _, r := range s.resources {
			if rest, ok := strings.CutPrefix(r, bucket); !ok || rest != "" && !strings.ContainsAny(rest[:1], "/*?") {
				return invalid("Policy has invalid resource: %q", clip(arnPrefix+r))
			}
		}
		for _, name := range s.principals {
			if owner, _, _ := strings.Cut(name, "/"); name != anybody && owner != account {
				return invalid("Invalid principal in policy: %q", clip(name))
			}
		}
	}
	return nil
}

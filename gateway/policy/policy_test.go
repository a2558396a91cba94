package policy_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cairn-store/cairn"
	"github.com/cairn-store/cairn/gateway/policy"
)

// document makes a policy of statements in which ' stands for ".
func document(statements ...string) []byte {
	return []byte(strings.ReplaceAll(`{'Version': '2012-10-17', 'Statement': [`+strings.Join(statements, ",")+`]}`, "'", `"`))
}

func parse(t *testing.T, statements ...string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(document(statements...))
	if err != nil {
		t.Fatalf("Parse(%s): %v", document(statements...), err)
	}
	return p
}

const publicRead = `{'Sid': 'read', 'Effect': 'Allow', 'Principal': '*', 'Action': 's3:GetObject', 'Resource': 'arn:aws:s3:::site/*'}`

func stranger(action, key string) policy.Request {
	return policy.Request{Anonymous: true, Action: action, Bucket: "site", Key: key}
}

func TestPublicReadLetsStrangersReadAndNothingElse(t *testing.T) {
	p := parse(t, publicRead)
	for _, c := range []struct {
		q    policy.Request
		want policy.Decision
	}{
		{stranger("s3:GetObject", "a"), policy.Allowed},
		{stranger("s3:GetObject", "a/../b//c"), policy.Allowed},
		{stranger("s3:GetObjectVersion", "a"), policy.Silent},
		{stranger("s3:PutObject", "a"), policy.Silent},
		{stranger("s3:ListBucket", ""), policy.Silent},
		{stranger("s3:GetObject", ""), policy.Silent},
		{policy.Request{Anonymous: true, Action: "s3:GetObject", Bucket: "sites", Key: "a"}, policy.Silent},
		{policy.Request{Anonymous: true, Action: "s3:GetObject", Bucket: "Site", Key: "a"}, policy.Silent},
	} {
		if got := p.Evaluate(c.q); got != c.want {
			t.Errorf("Evaluate(%+v) = %v, want %v", c.q, got, c.want)
		}
	}
	if !p.Public() {
		t.Error("a policy for everybody is not called public")
	}
}

func TestDenyWinsWhereverItStands(t *testing.T) {
	deny := `{'Effect': 'Deny', 'Principal': {'AWS': '*'}, 'Action': ['S3:get*'], 'Resource': ['arn:aws:s3:::site/secret/*', 'arn:aws:s3:::site/?.key']}`
	for _, p := range []*policy.Policy{parse(t, publicRead, deny), parse(t, deny, publicRead)} {
		for key, want := range map[string]policy.Decision{"secret/a": policy.Denied, "secret": policy.Allowed, "Secret/a": policy.Allowed,
			"x.key": policy.Denied, "日.key": policy.Denied, "xy.key": policy.Allowed, ".key": policy.Allowed, "secret/": policy.Denied} {
			if got := p.Evaluate(stranger("s3:GetObject", key)); got != want {
				t.Errorf("GetObject %q = %v, want %v", key, got, want)
			}
		}
	}
}

func TestNotActionAndNotResourceTurnPatternsAround(t *testing.T) {
	p := parse(t, `{'Effect': 'Deny', 'Principal': '*', 'NotAction': 's3:Get*', 'NotResource': 'arn:aws:s3:::site/open/*'}`)
	for _, c := range []struct {
		action, key string
		want        policy.Decision
	}{{"s3:GetObject", "x", policy.Silent}, {"s3:PutObject", "x", policy.Denied}, {"s3:PutObject", "open/x", policy.Silent}} {
		if got := p.Evaluate(stranger(c.action, c.key)); got != c.want {
			t.Errorf("%s %q = %v, want %v", c.action, c.key, got, c.want)
		}
	}
}

func TestPrincipalsAreAccountsAndKeys(t *testing.T) {
	signed := policy.Request{Account: "cairn", AccessKey: "KEY1", Action: "s3:GetObject", Bucket: "site", Key: "a"}
	other := signed
	other.AccessKey = "KEY2"
	for principal, want := range map[string][3]policy.Decision{
		`'*'`:                                {policy.Denied, policy.Denied, policy.Denied},
		`{'AWS': ['*']}`:                     {policy.Denied, policy.Denied, policy.Denied},
		`{'AWS': 'cairn'}`:                   {policy.Denied, policy.Denied, policy.Silent},
		`{'AWS': 'arn:aws:iam::cairn:root'}`: {policy.Denied, policy.Denied, policy.Silent},
		`{'CanonicalUser': 'cairn'}`:         {policy.Denied, policy.Denied, policy.Silent},
		`{'AWS': ['arn:aws:iam::cairn:user/KEY2']}`:  {policy.Silent, policy.Denied, policy.Silent},
		`{'AWS': ['arn:aws:iam::others:user/KEY2']}`: {policy.Silent, policy.Silent, policy.Silent},
	} {
		p := parse(t, `{'Effect': 'Deny', 'Principal': `+principal+`, 'Action': '*', 'Resource': 'arn:aws:s3:::site*'}`)
		got := [3]policy.Decision{p.Evaluate(signed), p.Evaluate(other), p.Evaluate(stranger("s3:GetObject", "a"))}
		if got != want {
			t.Errorf("principal %s: key 1, key 2, stranger = %v, want %v", principal, got, want)
		}
	}
}

func TestConditionsHoldAsInAWS(t *testing.T) {
	values := map[string]string{"aws:sourceip": "10.1.2.3", "aws:securetransport": "false", "s3:prefix": "home/anna/", "aws:referer": "https://a.example/x"}
	for condition, want := range map[string]bool{
		`{}`: true,
		`{'IpAddress': {'aws:SourceIp': '10.0.0.0/8'}}`:                                                         true,
		`{'IpAddress': {'aws:SourceIp': ['192.168.0.0/16', '10.1.2.3']}}`:                                       true,
		`{'IpAddress': {'aws:SourceIp': '10.1.3.0/24'}}`:                                                        false,
		`{'IpAddress': {'aws:SourceIp': '::/0'}}`:                                                               false,
		`{'NotIpAddress': {'aws:SourceIp': ['10.0.0.0/8', '::/0']}}`:                                            false,
		`{'NotIpAddress': {'aws:SourceIp': '11.0.0.0/8'}}`:                                                      true,
		`{'Bool': {'aws:SecureTransport': false}}`:                                                              true,
		`{'Bool': {'aws:SecureTransport': 'True'}}`:                                                             false,
		`{'StringEquals': {'s3:prefix': ['', 'home/anna/']}}`:                                                   true,
		`{'StringEquals': {'S3:Prefix': 'Home/anna/'}}`:                                                         false,
		`{'StringEqualsIgnoreCase': {'s3:prefix': 'HOME/Anna/'}}`:                                               true,
		`{'StringNotEqualsIgnoreCase': {'s3:prefix': 'HOME/Anna/'}}`:                                            false,
		`{'StringNotEquals': {'s3:prefix': ['a', 'b']}}`:                                                        true,
		`{'StringNotEquals': {'s3:prefix': ['a', 'home/anna/']}}`:                                               false,
		`{'StringLike': {'s3:prefix': 'home/*'}}`:                                                               true,
		`{'StringLike': {'s3:prefix': 'home/?nna/'}}`:                                                           true,
		`{'StringNotLike': {'s3:prefix': 'home/*'}}`:                                                            false,
		`{'StringLike': {'aws:Referer': ['https://b.example/*', 'https://a.example/*']}}`:                       true,
		`{'StringEquals': {'s3:delimiter': '/'}}`:                                                               false,
		`{'StringEqualsIfExists': {'s3:delimiter': '/'}}`:                                                       true,
		`{'StringEqualsIfExists': {'s3:prefix': '/'}}`:                                                          false,
		`{'StringNotEquals': {'s3:delimiter': '/'}}`:                                                            true,
		`{'StringNotLikeIfExists': {'s3:delimiter': '*'}}`:                                                      true,
		`{'Null': {'s3:delimiter': 'true', 's3:prefix': false}}`:                                                true,
		`{'Null': {'s3:prefix': true}}`:                                                                         false,
		`{'StringEquals': {'s3:max-keys': 10}}`:                                                                 false,
		`{'StringLike': {'s3:prefix': 'home/*'}, 'IpAddress': {'aws:SourceIp': '11.0.0.0/8'}}`:                  false,
		`{'StringLike': {'s3:prefix': 'home/*', 'aws:Referer': '*'}, 'Bool': {'aws:securetransport': 'false'}}`: true,
	} {
		p := parse(t, `{'Effect': 'Allow', 'Principal': '*', 'Action': 's3:ListBucket', 'Resource': 'arn:aws:s3:::site', 'Condition': `+condition+`}`)
		q := stranger("s3:ListBucket", "")
		q.Values = values
		if got := p.Evaluate(q) == policy.Allowed; got != want {
			t.Errorf("%s holds: %v, want %v", condition, got, want)
		}
	}
}

func TestPublicMeansFromAnywhere(t *testing.T) {
	for statement, want := range map[string]bool{
		publicRead: true,
		strings.Replace(publicRead, "Allow", "Deny", 1):                                                                 false,
		strings.Replace(publicRead, "'*',", "{'AWS': 'cairn'},", 1):                                                     false,
		strings.TrimSuffix(publicRead, "}") + `, 'Condition': {'IpAddress': {'aws:SourceIp': '10.0.0.0/8'}}}`:           false,
		strings.TrimSuffix(publicRead, "}") + `, 'Condition': {'IpAddress': {'aws:SourceIp': ['10.0.0.0/8', '::/0']}}}`: true,
		strings.TrimSuffix(publicRead, "}") + `, 'Condition': {'IpAddress': {'aws:SourceIp': '0.0.0.0/1'}}}`:            true,
		strings.TrimSuffix(publicRead, "}") + `, 'Condition': {'NotIpAddress': {'aws:SourceIp': '10.0.0.0/8'}}}`:        true,
		strings.TrimSuffix(publicRead, "}") + `, 'Condition': {'IpAddressIfExists': {'aws:SourceIp': '10.0.0.0/8'}}}`:   true,
		strings.TrimSuffix(publicRead, "}") + `, 'Condition': {'StringLike': {'aws:Referer': 'https://a.example/*'}}}`:  true,
	} {
		if got := parse(t, statement).Public(); got != want {
			t.Errorf("%s is public: %v, want %v", statement, got, want)
		}
	}
}

func TestWhatIsNotUnderstoodIsRefused(t *testing.T) {
	change := func(from, to string) string { return strings.Replace(publicRead, from, to, 1) }
	more := func(s string) string { return strings.TrimSuffix(publicRead, "}") + ", " + s + "}" }
	for _, statement := range []string{
		"'text'", "{}", "[]", "1",
		change("'Allow'", "'allow'"), change("'Effect'", "'effect'"), change("'Allow'", "1"), more(`'Effect': 'Deny'`),
		change("'*'", "'nobody'"), change("'*'", "{}"), change("'*'", "[]"), change("'*'", "{'Service': 'x'}"), change("'*'", "{'AWS': []}"), change("'*'", "{'AWS': 'a*'}"),
		change("'*'", "{'AWS': 'arn:aws:iam::cairn:role/x'}"), change("'*'", "{'CanonicalUser': '*'}"), change("'*'", "{'AWS': [1]}"), change("'Principal'", "'NotPrincipal'"),
		change("s3:GetObject", "s3:GetObjct"), change("s3:GetObject", "ec2:Run"), change("s3:GetObject", ""), change("'s3:GetObject'", "[]"), more(`'NotAction': 's3:PutObject'`),
		change("arn:aws:s3:::site/*", "*"), change("arn:aws:s3:::site/*", "site/*"), change("arn:aws:s3:::site/*", "arn:aws:s3:::"), change("site/*", "site/${aws:username}/*"), more(`'NotResource': 'arn:aws:s3:::site/*'`),
		more(`'Unknown': 1`), more(`'Sid': 'twice'`), more(`'Condition': []`), more(`'Condition': {'StringIsNice': {'s3:prefix': 'a'}}`),
		more(`'Condition': {'ForAllValues:StringEquals': {'s3:prefix': 'a'}}`), more(`'Condition': {'StringEquals': {'aws:username': 'a'}}`),
		more(`'Condition': {'StringEquals': {'s3:prefix': []}}`), more(`'Condition': {'StringEquals': {'s3:prefix': {}}}`), more(`'Condition': {'StringEquals': {}}`),
		more(`'Condition': {'StringLike': {'s3:prefix': '${aws:userid}'}}`), more(`'Condition': {'IpAddress': {'aws:SourceIp': '10.0.0.0/33'}}`),
		more(`'Condition': {'IpAddress': {'aws:SourceIp': '::ffff:10.0.0.0/104'}}`), more(`'Condition': {'IpAddress': {'s3:prefix': '10.0.0.0/8'}}`),
		more(`'Condition': {'StringEquals': {'aws:SourceIp': '10.0.0.0/8'}}`), more(`'Condition': {'Bool': {'aws:SecureTransport': 'maybe'}}`), more(`'Condition': {'NullIfExists': {'s3:prefix': 'true'}}`),
	} {
		if _, err := policy.Parse(document(statement)); !errors.Is(err, cairn.Invalid) {
			t.Errorf("Parse(%s) = %v, want Invalid", statement, err)
		}
	}
	for _, doc := range []string{"", "[]", " {}", "{}", `{"Statement":[]}`, `{"Statement":[],"Statement":[]}`, `{"Version":"2020-01-01","Statement":` + publicRead + `}`,
		string(document(publicRead)) + "x", string(document(publicRead))[1:], "{\"Id\": \"\xff\"}", strings.Repeat(`{"a":`, 100), strings.Repeat(" ", policy.MaxDocument+1),
		string(document(publicRead + strings.Repeat(" ", policy.MaxDocument)))} {
		if _, err := policy.Parse([]byte(doc)); !errors.Is(err, cairn.Invalid) {
			t.Errorf("Parse(%.200q) = %v, want Invalid", doc, err)
		}
	}
}

func TestCheckKnowsTheBucketAndItsOwner(t *testing.T) {
	for statement, want := range map[string]bool{
		publicRead: true,
		strings.Replace(publicRead, ":::site/*", ":::site", 1):                                true,
		strings.Replace(publicRead, ":::site/*", ":::site*", 1):                               true,
		strings.Replace(publicRead, ":::site/*", ":::sites/*", 1):                             false,
		strings.Replace(publicRead, ":::site/*", ":::*", 1):                                   false,
		strings.Replace(publicRead, "'*'", "{'AWS': 'cairn'}", 1):                             true,
		strings.Replace(publicRead, "'*'", "{'AWS': 'arn:aws:iam::cairn:user/K'}", 1):         true,
		strings.Replace(publicRead, "'*'", "{'AWS': ['*', 'arn:aws:iam::123456:user/K']}", 1): false,
	} {
		if err := parse(t, statement).Check("site", "cairn"); (err == nil) != want || err != nil && !errors.Is(err, cairn.Invalid) {
			t.Errorf("Check of %s: %v, want ok %v", statement, err, want)
		}
	}
}

func TestPatternsTakeBoundedTime(t *testing.T) {
	p := parse(t, `{'Effect': 'Allow', 'Principal': '*', 'Action': '*', 'Resource': 'arn:aws:s3:::site/`+strings.Repeat("*a", 2000)+`b'}`)
	if got := p.Evaluate(stranger("s3:GetObject", strings.Repeat("a", 1024))); got != policy.Silent {
		t.Errorf("a hard pattern = %v", got)
	}
}

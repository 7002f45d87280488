package render

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-fleet/holdfast/fleet"
	"github.com/holdfast-fleet/holdfast/secrets"
)

// sealed64 marks a stand-in whose text is put into base64 once it is opened. With
// what follows it is base64 as well.
const sealed64 = "holdfast/sealed/b64/"

// carried returns what kustomize reads of a file: that, or what is carried in place of
// a SOPS document. It is one stand-in for all content, or the file with many.
func (s *scan) carried(file string, data []byte, as use) ([]byte, error) {
	if !secrets.Detect(file, data) {
		return data, nil
	}
	refuse := func(msg, tip string) error {
		return &fleet.Problem{File: file, Msg: msg, Tip: tip, Rule: fleet.RuleSecret}
	}
	format := secrets.FormatOf(file)
	first, twice := s.uses[file]
	switch {
	case twice && (first == content) != (as == content):
		return nil, refuse("a secret that is read both as a file and for its values", "encrypt a file for each")
	case as == lines && format != secrets.Dotenv:
		return nil, refuse("a secret that is read for its lines, and encrypted in another form", "encrypt it anew as a file whose name ends in .env")
	case as == objects && format != secrets.YAML && format != secrets.JSON:
		return nil, refuse("a secret that is read for its objects, and encrypted in another form", "encrypt it anew as a file whose name ends in .yaml")
	}
	s.uses[file] = as
	doc, err := secrets.Parse(file, data)
	if err != nil {
		return nil, secretProblem(file, err)
	}
	text, known := []byte(doc.StandIn()), []string{doc.StandIn()}
	if as != content {
		if text, known, err = doc.Carried(); err != nil {
			return nil, secretProblem(file, err)
		}
	}
	if hidden := hiddenHead(text); as == objects && hidden != "" {
		return nil, refuse(hidden+" is encrypted, and decides what the object is", plainHeadTip)
	}
	s.sealed[file], s.standIns = data, append(s.standIns, known...)
	return text, nil
}

const plainHeadTip = "encrypt the values of a Secret alone: encrypted_regex ^(data|stringData)$ in .sops.yaml"

// hiddenHead names a field that tells what a document's object is, and is encrypted.
func hiddenHead(text []byte) string {
	docs, err := fleet.ParseYAML("", text, yamlLimits())
	if err != nil {
		return "" // which is said where it is read
	}
	for _, doc := range docs {
		for _, field := range []string{"apiVersion", "kind"} {
			if value := valueOf(doc.Content[0], field); value != nil && secrets.IsStandIn(value.Value) {
				return field
			}
		}
	}
	return ""
}

func secretProblem(file string, err error) error {
	p := &fleet.Problem{File: file, Msg: err.Error(), Rule: fleet.RuleSecret}
	if said := new(secrets.Problem); errors.As(err, &said) {
		p.Line, p.Msg, p.Tip = said.Line, said.Msg, said.Tip
	}
	return p
}

// seal checks where an object's stand-ins are, and marks those in base64.
func (j job) seal(o object) error {
	if o.apiVersion == "v1" && o.kind == "Secret" {
		data, _ := o.value["data"].(map[string]any)
		for key, v := range data {
			text, _ := v.(string)
			plain, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
			switch {
			case err != nil:
			case secrets.IsStandIn(string(plain)):
				data[key] = sealed64 + string(plain[len(plain)-64:])
			default:
				if err := j.whole(o, "data."+key, string(plain)); err != nil {
					return err
				}
			}
		}
	}
	refuse := func(where, format string, args ...any) error {
		return &fleet.Problem{File: j.File, Msg: fmt.Sprintf("%s: %s "+format, append([]any{o, where}, args...)...), Rule: fleet.RuleSecret,
			Tip: plainHeadTip}
	}
	for _, key := range slices.Sorted(maps.Keys(o.value)) {
		if _, err := eachText(o.value[key], func(text string) (string, error) { return text, j.whole(o, key, text) }); err != nil {
			return err
		}
		if len(standInsOf(o.value[key])) == 0 {
			continue
		}
		switch {
		case slices.Contains([]string{"apiVersion", "kind", "metadata"}, key):
			return refuse(key, "is encrypted, and decides what the object is")
		case o.apiVersion == "v1" && o.kind == "ConfigMap":
			return refuse(key, "would hold a secret, which anybody may read who may read a ConfigMap")
		}
		for _, text := range standInsOf(o.value[key]) {
			if !slices.Contains(j.StandIns, text) {
				return refuse(key, "has %s, which stands for nothing that the layer reads", text)
			}
		}
	}
	return nil
}

// whole refuses a text that has a stand-in in it, and is not one.
func (j job) whole(o object, where, text string) error {
	if _, is := standInOf(text); is || !secrets.HoldsStandIn(text) {
		return nil
	}
	return &fleet.Problem{File: j.File, Msg: fmt.Sprintf("%s: %s has what is encrypted within a text, where no host could open it", o, where),
		Tip: "encrypt the whole text, or let the pod put it together from environment variables", Rule: fleet.RuleSecret}
}

// standInsOf lists the stand-ins in a value.
func standInsOf(v any) []string {
	var list []string
	_, _ = eachText(v, func(text string) (string, error) {
		if name, ok := standInOf(text); ok {
			list = append(list, name)
		}
		return text, nil
	})
	return list
}

// standInOf returns the stand-in that a text is, if it is one.
func standInOf(text string) (string, bool) {
	if digest, ok := strings.CutPrefix(text, sealed64); ok {
		text = strings.TrimSuffix(sealed64, "b64/") + digest
	}
	return text, secrets.IsStandIn(text)
}

// Sealed tells whether a text of an object stands for something encrypted, and
// the digest of what that is.
func Sealed(text string) (digest string, ok bool) {
	name, ok := standInOf(text)
	if !ok {
		return "", false
	}
	return name[len(name)-64:], true
}

// eachText returns a value with what do makes of each text in it.
func eachText(v any, do func(text string) (string, error)) (any, error) {
	var errs []error
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			got, err := eachText(item, do)
			v[key], errs = got, append(errs, err)
		}
	case []any:
		for i, item := range v {
			got, err := eachText(item, do)
			v[i], errs = got, append(errs, err)
		}
	case string:
		return do(v)
	}
	return v, errors.Join(errs...)
}

// Open returns the layer with what its stand-ins stand for, which is kept in
// memory only, and all that no output may show of it. It has no digest then. A document whose MAC does
// not fit, or that none of the identities opens, is an error.
func (l Layer) Open(ids ...secrets.Identity) (opened Layer, hidden []string, err error) {
	if len(l.Sealed) == 0 {
		return l, nil, nil
	}
	plain := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(l.Sealed)) {
		doc, err := secrets.Parse(file, l.Sealed[file])
		if err != nil {
			return Layer{}, nil, err
		}
		p, err := doc.Open(ids...)
		if err != nil {
			return Layer{}, nil, err
		}
		texts, err := p.StandIns()
		if err != nil {
			return Layer{}, nil, err
		}
		maps.Copy(plain, texts)
		hidden = append(hidden, p.Secrets()...)
	}
	objects := slices.Clone(l.Objects)
	for i, raw := range objects {
		if objects[i], err = unseal(raw, plain); err != nil {
			return Layer{}, nil, fmt.Errorf("open the secrets of layer %s: %w", l.Name, err)
		}
	}
	l.Objects, l.Sealed, l.Digest = objects, nil, "" // it is not what was rendered
	return l, hidden, nil
}

func unseal(raw json.RawMessage, plain map[string]string) (json.RawMessage, error) {
	v, err := decode(raw)
	if err != nil || len(standInsOf(v)) == 0 {
		return raw, err
	}
	v, err = eachText(v, func(text string) (string, error) {
		name, ok := standInOf(text)
		if !ok {
			return text, nil
		}
		is, known := plain[name]
		switch {
		case !known:
			return "", fmt.Errorf("%s stands for nothing", text)
		case strings.HasPrefix(text, sealed64):
			return base64.StdEncoding.EncodeToString([]byte(is)), nil
		}
		return is, nil
	})
	if err != nil {
		return nil, err
	}
	return canonical(v)
}

// sealedLogins refuses what is encrypted in a Distribution, but for passwords of
// logins, and passwords that are not.
func sealedLogins(file string, raw json.RawMessage, logins map[string]fleet.Login) error {
	v, err := decode(raw)
	if err != nil {
		return err
	}
	left := len(standInsOf(v))
	for _, host := range slices.Sorted(maps.Keys(logins)) {
		password := logins[host].Password
		if _, sealed := standInOf(password); sealed {
			left--
		} else if password != "" {
			return &fleet.Problem{File: file, Msg: "the password for " + host + " is not encrypted", Tip: "write it to a patch in a file of its own, encrypted with SOPS: holdfast secrets edit; or name a passwordFile of the hosts", Rule: fleet.RuleSecret}
		}
	}
	if left > 0 {
		return &fleet.Problem{File: file, Msg: "something of the Distribution is encrypted that is no password of a login", Tip: "encrypt those alone: encrypted_regex ^password$ in .sops.yaml", Rule: fleet.RuleSecret}
	}
	return nil
}

// Open returns the node with the passwords that its stand-ins stand for, which are
// kept in memory only, and all that no output may show of it: as of a [Layer].
func (n Node) Open(ids ...secrets.Identity) (opened Node, hidden []string, err error) {
	l, hidden, err := Layer{Name: DistributionLayer, Objects: []json.RawMessage{n.Distribution}, Sealed: n.Sealed}.Open(ids...)
	if err != nil {
		return Node{}, nil, err
	}
	n.Distribution, n.Sealed = l.Objects[0], nil
	return n, hidden, nil
}

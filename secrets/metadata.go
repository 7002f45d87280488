package secrets

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// formatVersion is the version of sops whose format new documents have.
const formatVersion = "3.9.0"

// metadata is what a document says of itself.
type metadata struct {
	Selection
	keys    []wrappedKey
	others  mapping   // keys of other kinds, kept as they are
	changed time.Time // "lastmodified", which the MAC is bound to
	mac     string
	version string
}

// wrappedKey is the data key, encrypted to one recipient.
type wrappedKey struct{ recipient, enc string }

// otherKinds are the kinds of keys beside age, as the metadata and a person name them.
func otherKinds() map[string]string {
	return map[string]string{
		"pgp": "PGP", "kms": "AWS KMS", "gcp_kms": "GCP KMS", "hckms": "HuaweiCloud KMS",
		"azure_kv": "Azure Key Vault", "hc_vault": "HashiCorp Vault",
	}
}

// holdsMetadata reports whether an entry of a document is metadata, or a part of it.
func (p pair) holdsMetadata(format Format) bool {
	if format == Dotenv {
		return p.note == nil && strings.HasPrefix(p.key, metadataPrefix)
	}
	return p.note == nil && p.key == metadataKey
}

// metadataOf returns the metadata as it is in the file.
func metadataOf(format Format, docs []mapping) (raw mapping, found bool) {
	if format != Dotenv {
		raw, found = docs[0].get(metadataKey).(mapping)
		return raw, found
	}
	var flat mapping
	for _, p := range docs[0] {
		if p.holdsMetadata(format) {
			flat = append(flat, pair{key: strings.TrimPrefix(p.key, metadataPrefix), value: p.value, line: p.line})
		}
	}
	raw, _ = lists(unflatten(flat)).(mapping)
	return raw, len(raw) > 0
}

func withoutMetadata(format Format, m mapping) mapping {
	return slices.DeleteFunc(slices.Clone(m), func(p pair) bool { return p.holdsMetadata(format) })
}

// metadataReader reads the metadata of one file.
type metadataReader struct {
	file string
	raw  mapping
}

const brokenTip = "take the file from an older commit, or encrypt it anew"

func readMetadata(file string, raw mapping) (metadata, error) {
	r := metadataReader{file, raw}
	var m metadata
	var err error
	for name, field := range m.rules() {
		if *field, err = r.text(name); err != nil {
			return m, err
		}
	}
	if _, err := m.selector(); err != nil {
		return m, problemf(file, 0, brokenTip, "the sops metadata: %s", err)
	}
	if m.mac, err = r.text("mac"); err != nil {
		return m, err
	}
	if m.mac == "" {
		return m, problemf(file, 0, brokenTip, "the sops metadata has no mac, so nobody can tell whether the file was changed")
	}
	if m.version, err = r.text("version"); err != nil {
		return m, err
	}
	when, err := r.text("lastmodified")
	if err != nil {
		return m, err
	}
	if m.changed, err = time.Parse(time.RFC3339, when); err != nil {
		return m, problemf(file, 0, brokenTip, "lastmodified of the sops metadata is not a time of RFC 3339")
	}
	macOnly, err := r.text("mac_only_encrypted")
	if err != nil {
		return m, err
	}
	m.MACOnlyEncrypted = macOnly == "true" || macOnly == "1"
	m.keys, m.others, err = r.keys()
	return m, err
}

// text reads a scalar as text; it is empty if it is missing.
func (r metadataReader) text(key string) (string, error) {
	switch v := r.raw.get(key).(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, int:
		return fmt.Sprint(v), nil
	case time.Time:
		return v.Format(time.RFC3339), nil
	}
	return "", problemf(r.file, 0, brokenTip, "%s of the sops metadata must be text", key)
}

// keys reads to whom the document is encrypted.
func (r metadataReader) keys() ([]wrappedKey, mapping, error) {
	from := r.raw
	if l, _ := r.raw.get("key_groups").(list); len(l) == 1 {
		if from, _ = l[0].(mapping); from == nil {
			return nil, nil, problemf(r.file, 0, brokenTip, "key_groups of the sops metadata must be a list of mappings")
		}
	} else if len(l) > 1 {
		return nil, nil, problemf(r.file, 0, "encrypt it anew with all recipients in one group: a host opens it with its own key alone",
			"encrypted to %d key groups, of which several are needed (Shamir's secret sharing)", len(l))
	}
	var others mapping
	var kinds []string
	for _, p := range from {
		if name, known := otherKinds()[p.key]; known && p.note == nil {
			if l, _ := p.value.(list); len(l) > 0 {
				others, kinds = append(others, p), append(kinds, name)
			}
		}
	}
	v := from.get("age")
	entries, isList := v.(list)
	if v != nil && !isList {
		return nil, nil, problemf(r.file, 0, brokenTip, "age of the sops metadata must be a list")
	}
	keys, err := r.ageKeys(entries)
	if err != nil || len(keys) > 0 {
		return keys, others, err
	}
	const tip = "encrypt it to age recipients: add age to its rule in .sops.yaml, then run sops updatekeys "
	if len(kinds) > 0 {
		slices.Sort(kinds)
		return nil, nil, problemf(r.file, 0, tip+r.file, "encrypted to %s only, and hosts have age keys", strings.Join(kinds, ", "))
	}
	return nil, nil, problemf(r.file, 0, tip+r.file, "encrypted to nobody")
}

func (r metadataReader) ageKeys(entries list) ([]wrappedKey, error) {
	var keys []wrappedKey
	for _, e := range entries {
		if _, isComment := e.(comment); isComment {
			continue
		}
		m, _ := e.(mapping)
		k := wrappedKey{}
		k.recipient, _ = m.get("recipient").(string)
		k.enc, _ = m.get("enc").(string)
		if k.recipient == "" || k.enc == "" {
			return nil, problemf(r.file, 0, brokenTip, "entry %d of age in the sops metadata lacks recipient or enc", len(keys)+1)
		}
		if keys = append(keys, k); len(keys) > maxRecipients {
			return nil, problemf(r.file, 0, "give each site a file of its own", "encrypted to more than %d recipients", maxRecipients)
		}
	}
	return keys, nil
}

// mapping returns the metadata as sops writes it: sorted by name.
func (m metadata) mapping() mapping {
	var age list
	for _, k := range m.keys {
		age = append(age, mapping{{key: "enc", value: k.enc}, {key: "recipient", value: k.recipient}})
	}
	out := append(mapping{
		{key: "age", value: age},
		{key: "lastmodified", value: m.changed.Format(time.RFC3339)},
		{key: "mac", value: m.mac},
		{key: "version", value: m.version},
	}, m.others...)
	for name, value := range m.rules() {
		if *value != "" {
			out = append(out, pair{key: name, value: *value})
		}
	}
	if m.MACOnlyEncrypted {
		out = append(out, pair{key: "mac_only_encrypted", value: true})
	}
	slices.SortFunc(out, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	return out
}

// embed adds the metadata to each document of a file.
func (m metadata) embed(format Format, docs []mapping) []mapping {
	add := mapping{{key: metadataKey, value: m.mapping()}}
	if format == Dotenv {
		add = nil
		for _, p := range m.mapping() {
			add = append(add, flatten(metadataPrefix+p.key, p.value)...)
		}
	}
	var out []mapping
	for _, doc := range docs {
		out = append(out, append(slices.Clone(doc), add...))
	}
	return out
}

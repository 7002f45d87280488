package fleet

import (
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
	"go.yaml.in/yaml/v3"
)

const (
	defaultKeep = 7
	maxKeep     = 1000
	maxTargets  = 8
)

// Backup says when a site's cluster is backed up, to whom that is encrypted, and
// where it goes. The zero one is never.
type Backup struct {
	Every      time.Duration `json:"every,omitempty"` // this or At
	At         string        `json:"at,omitempty"`    // minute, hour, day, month, weekday: cron
	TimeZone   string        `json:"timeZone,omitempty"`
	Keep       int           `json:"keep,omitempty"`       // how many, on the host and in each target
	Recipients []string      `json:"recipients,omitempty"` // public keys of age, or of SSH
	To         []Target      `json:"to,omitempty"`         // beside the host itself

	File string `json:"-"` // that declares it
	Line int    `json:"-"`
}

// Target is where backups are sent. Files are named from the root of the fleet.
type Target struct {
	Folder         string `json:"folder,omitempty"` // on the host: what is mounted there; this, SFTP or S3
	SFTP           string `json:"sftp,omitempty"`   // URL of a folder
	S3             string `json:"s3,omitempty"`     // URL of a bucket, maybe with a folder in it
	Region         string `json:"region,omitempty"`
	Credentials    string `json:"credentials,omitempty"`    // SOPS document that the hosts can open
	CAFile         string `json:"caFile,omitempty"`         // PEM: certificates that alone vouch for the server
	KnownHostsFile string `json:"knownHostsFile,omitempty"` // keys of servers, as ssh(1) keeps them

	Line int `json:"line"`
}

// Name is what people know a target by.
func (t Target) Name() string { return t.Folder + t.SFTP + t.S3 }

// Files are those of the fleet that it names, but for its credentials.
func (t Target) Files() []string {
	return slices.DeleteFunc([]string{t.CAFile, t.KnownHostsFile}, func(name string) bool { return name == "" })
}

// On tells whether there are backups at all.
func (b Backup) On() bool { return len(b.Recipients) > 0 }

// Next is when the backup after one of some time is due. A clock that was set back
// makes it due at once.
func (b Backup) Next(last, now time.Time) time.Time {
	if last.IsZero() || last.After(now) {
		return now
	}
	if b.Every > 0 {
		return last.Add(b.Every)
	}
	plan, err := parseCron(b.At)
	if err != nil { // it was checked when it was read
		return now
	}
	zone, err := time.LoadLocation(b.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return plan.Next(last.In(zone))
}

const cronPattern = `^[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}$`

var cronForm = regexp.MustCompile(cronPattern)

func parseCron(text string) (cron.Schedule, error) {
	if !cronForm.MatchString(text) { // the library knows more than cron does
		return nil, fmt.Errorf("%q does not have five fields", text)
	}
	plan, err := cron.ParseStandard(text)
	if err == nil && plan.Next(time.Unix(0, 0)).IsZero() {
		err = fmt.Errorf("%q never comes", text)
	}
	return plan, err
}

// backupRule is spec.backup of a file.
type backupRule struct {
	Line   int `json:"l"` // 0: the file has none
	Backup `json:"b"`
}

func (r reader) backupField(to *backupRule) field {
	fields := r.backupFields(&to.Backup)
	return field{false, "When the cluster is backed up, for whom and where to; {} is never. The nearest counts, all of it", mapping(fields), func(n *yaml.Node) {
		known := len(r.list)
		to.Line = n.Line
		r.object(n, "backup", fields)
		b := &to.Backup
		if len(deref(n).Content) == 0 || len(r.list) > known {
			return
		}
		switch {
		case (b.Every == 0) == (b.At == ""):
			r.problem(n, `write every: 6h, or at: "30 3 * * *"`, "backup has either every or at")
		case b.TimeZone != "" && b.At == "":
			r.problem(n, "", "timeZone is for at")
		case len(b.Recipients) == 0:
			r.problem(n, "make a key that is kept offline: age-keygen -o recovery.txt; and write the public one", "backup lacks recipients: what nobody can open is no backup")
		}
		if b.Keep == 0 {
			b.Keep = defaultKeep
		}
	}}
}

// recipientPattern says roughly what is checked in full where there is age.
const recipientPattern = `^(age1[0-9a-z]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( .*)?)$`

func (r reader) backupFields(b *Backup) map[string]field {
	recipient := regexp.MustCompile(recipientPattern)
	return map[string]field{
		"every": {false, "Time between two: 6h, 1d; this or at", matching(daysPattern), func(n *yaml.Node) { b.Every = r.days(n, "every") }},
		"at": {false, "Minute, hour, day, month and weekday, as in cron: \"30 3 * * *\"", matching(cronPattern), func(n *yaml.Node) {
			b.At = r.text(n, "at")
			if _, err := parseCron(b.At); err != nil && b.At != "" {
				r.problem(n, `write it like "30 3 * * *": minute, hour, day of the month, month, weekday`, "at is no time: %s", err)
			}
		}},
		"timeZone": {false, "That at goes by, of the IANA database: Europe/Berlin; default UTC", textShape, func(n *yaml.Node) { b.TimeZone = r.timeZone(n) }},
		"keep":     {false, fmt.Sprintf("How many are kept, on the host and in each target; default %d", defaultKeep), between(1, maxKeep), func(n *yaml.Node) { b.Keep = r.number(n, "keep", 1, maxKeep) }},
		"recipients": {false, "Who can open them: public keys, age1… or ssh-ed25519 …", listOf(matching(recipientPattern)), func(n *yaml.Node) {
			r.items(n, "recipients", func(n *yaml.Node) {
				key := r.text(n, "a recipient")
				if key != "" && !recipient.MatchString(key) {
					r.problem(n, "write the public key of age-keygen, age1…, or one of SSH, ssh-ed25519 …", "%q is not a recipient of age", key)
				}
				b.Recipients = append(b.Recipients, key)
			})
		}},
		"to": {false, "Where they are sent; some are always on the host itself", listOf(mapping(r.targetFields(&Target{}))), func(n *yaml.Node) {
			known := map[string]bool{}
			r.items(n, "to", func(n *yaml.Node) {
				t := r.target(n)
				if known[t.Name()] && t.Name() != "" {
					r.problem(n, "keep one of them", "target %s is given twice", t.Name()).Rule = RuleDuplicateField
				}
				known[t.Name()] = true
				b.To = append(b.To, t)
			})
			if len(b.To) > maxTargets {
				r.problem(n, "two places are a good start", "more than %d targets", maxTargets)
			}
		}},
	}
}

func (r reader) targetFields(t *Target) map[string]field {
	return map[string]field{
		"folder": {false, "Folder on the host, which must be there: a share that is mounted; this, sftp or s3", matching("^/"), func(n *yaml.Node) {
			if t.Folder = r.text(n, "folder"); t.Folder != "" && (!path.IsAbs(t.Folder) || path.Clean(t.Folder) != t.Folder) {
				r.problem(n, "write it like /mnt/nas/backups", "folder %q is not the path of a folder", t.Folder)
			}
		}},
		"sftp":           {false, "URL of a folder: sftp://user@host/path, /path being from the root of the server", matching("^sftp://"), func(n *yaml.Node) { t.SFTP = r.targetURL(n, "sftp") }},
		"s3":             {false, "URL of a bucket, and maybe a folder in it: https://host/bucket/folder", matching("^https?://"), func(n *yaml.Node) { t.S3 = r.targetURL(n, "s3") }},
		"region":         {false, "Of s3; default us-east-1", textShape, func(n *yaml.Node) { t.Region = r.text(n, "region") }},
		"credentials":    {false, "SOPS file: for s3 accessKeyID and secretAccessKey; for sftp privateKey or password, default the host's own key", textShape, func(n *yaml.Node) { t.Credentials = r.fleetPath(n, "credentials") }},
		"caFile":         {false, "PEM file of the authorities that alone vouch for the server of s3", textShape, func(n *yaml.Node) { t.CAFile = r.fleetPath(n, "caFile") }},
		"knownHostsFile": {false, "Keys of the server of sftp, as ssh keeps them", textShape, func(n *yaml.Node) { t.KnownHostsFile = r.fleetPath(n, "knownHostsFile") }},
	}
}

// targetURL reads the URL of a target, which must not hold a secret.
func (r reader) targetURL(n *yaml.Node, kind string) string {
	text := r.text(n, kind)
	u, err := url.Parse(text)
	like := map[string]string{"sftp": "sftp://backup@nas.example.com/srv/backups", "s3": "https://s3.example.com/bucket/folder"}[kind]
	switch {
	case text == "":
	case err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") == "",
		kind == "sftp" && u.Scheme != "sftp", kind == "s3" && u.Scheme != "https" && u.Scheme != "http":
		r.problem(n, "write it like "+like, "%s is not a URL that is read", kind)
	case kind == "sftp" && u.User.Username() == "":
		r.problem(n, "write it like "+like, "sftp lacks the user")
	case u.User != nil && (kind == "s3" || strings.Contains(u.User.String(), ":")):
		r.problem(n, "put them into a SOPS file, and name that as credentials", "%s holds a user or a password", kind)
	default:
		return text
	}
	return ""
}

// target reads one target. What it has must make sense together.
func (r reader) target(n *yaml.Node) Target {
	t := Target{Line: n.Line}
	known := len(r.list)
	r.object(n, "a target", r.targetFields(&t))
	if len(r.list) > known {
		return t
	}
	given := len(slices.DeleteFunc([]string{t.Folder, t.SFTP, t.S3}, func(s string) bool { return s == "" }))
	for _, bad := range []struct {
		is       bool
		why, tip string
	}{
		{given != 1, "a target has one of folder, sftp and s3", ""},
		{t.Folder != "" && t.Credentials+t.CAFile+t.KnownHostsFile+t.Region != "", "a folder has nothing but its path", "what mounts it has its credentials"},
		{t.SFTP != "" && t.KnownHostsFile == "", "sftp needs a knownHostsFile", "ssh-keyscan writes one; compare it with what the server says of itself"},
		{t.SFTP != "" && t.CAFile+t.Region != "", "caFile and region are for s3", ""},
		{t.S3 != "" && t.KnownHostsFile != "", "knownHostsFile is for sftp", ""},
		{t.S3 != "" && t.Credentials == "", "s3 needs credentials", "a SOPS file with accessKeyID and secretAccessKey"},
		{t.S3 != "" && t.CAFile != "" && !strings.HasPrefix(t.S3, "https:"), "caFile needs https://", ""},
	} {
		if bad.is {
			r.problem(n, bad.tip, "%s", bad.why)
			break
		}
	}
	return t
}

// backup checks the files that a rule names.
func (l *loader) backup(file, dir string, isSite bool, rule *backupRule) {
	for _, t := range rule.To {
		l.reached(file, dir, isSite, t.Line, append(t.Files(), t.Credentials))
	}
}

// nearestBackup is that of the site, or else of the nearest group, or else of the fleet.
func (l *loader) nearestBackup(file string, from *siteRecord, groups []*group) Backup {
	at := func(file string, rule backupRule) Backup {
		b := rule.Backup
		b.File, b.Line = file, rule.Line
		return b
	}
	if from.Backup.Line > 0 {
		return at(file, from.Backup)
	}
	for _, g := range slices.Backward(groups) {
		if g.backup.Line > 0 {
			return at(g.file(), g.backup)
		}
	}
	return at("fleet.yaml", l.fleet.backup)
}

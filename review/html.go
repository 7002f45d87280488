package review

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
)

// Limits of a page, which is of at most 17 MiB.
const (
	pageSize   = 8 << 20 // of all changes
	pageNames  = 4 << 20 // of all names, and again of which change is for whom
	pageFields = 100     // of one change
	pageLines  = 500     // of one list beside the changes
	pageSome   = 20      // names that are there without a script
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/page.js
	pageScript string
)

// page is what the template shows.
type page struct {
	Policy              template.HTML
	Style               template.CSS
	Script              template.JS
	Summary, Base, Head string
	Approval            *pageApproval
	Boxes               []pageBox
	Choices             []pageChoice
	Count               string
	Sections            []pageSection
	Left                string
	Data                *pageData

	served *Served
}

type pageApproval struct {
	Line  string
	Needs []string
}

// pageBox is a list beside the changes.
type pageBox struct {
	Title, Hint string
	Alarm       bool
	Lines       []string
}

type pageSection struct {
	Title  string
	Number int
	Groups []template.HTML
}

// HTML writes the changes as one page that asks nobody for anything, of at most
// 17 MiB. What there is no room for is counted on it.
func (c *Changes) HTML(w io.Writer) error {
	parsed, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return err
	}
	p := page{
		Policy: policy(), Style: template.CSS(pageStyle), Script: template.JS(pageScript),
		Summary: c.summary(), Base: shorten(clean(c.Base), 60), Head: shorten(clean(c.Head), 60),
		Boxes: append(c.servedBoxes(), c.boxes()...), Data: newPageData(), served: c.Server,
	}
	if a := c.Approvals; a != nil {
		p.Approval = &pageApproval{Line: shorten(clean(a.line()), 2000), Needs: linesOf(a.Needs)}
	}
	all := c.all()
	shown, err := p.changes(parsed, all)
	if err != nil {
		return err
	}
	p.Choices = choices(all[:shown], c.where)
	p.Data.add(all[:shown], c.where)
	p.Count = count(len(c.Groups), "change")
	if len(c.Warnings) > 0 {
		p.Count += " and " + count(len(c.Warnings), "warning")
	}
	if left := len(all) - shown; left > 0 {
		p.Left = fmt.Sprintf("%d of %d are left out here: run holdfast diff for all.", left, len(all))
	}
	if p.Data.lost {
		p.Left += " This page has no room for the names of all sites and hosts, and finds only those it has."
	}
	return parsed.Execute(w, &p)
}

// policy lets the page's own script and style in, and nothing go out. It is made
// here because html/template trusts no value in such a place.
func policy() template.HTML {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return template.HTML(`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; script-src ` + hash(pageScript) +
		`; style-src ` + hash(pageStyle) + `; base-uri 'none'; form-action 'none'">`)
}

// boxes are the lists beside the changes.
func (c *Changes) boxes() []pageBox {
	var boxes []pageBox
	if len(c.Notes) > 0 {
		boxes = append(boxes, pageBox{Title: "For the whole fleet", Lines: linesOf(c.Notes)})
	}
	return boxes
}

// linesOf makes texts fit for a page, and not too many of them.
func linesOf(texts []string) []string {
	var out []string
	for i, text := range texts {
		if i == pageLines {
			return append(out, fmt.Sprintf("and %d more", len(texts)-i))
		}
		out = append(out, shorten(clean(text), 1000))
	}
	return out
}

var headings = map[Kind]string{
	SiteVanished: "Sites that are no longer listed", HostVanished: "Hosts that are no longer listed", HostRemoved: "Hosts that are removed",
	Delete: "Deleted", Recreate: "To be made anew", Distribution: "Distribution", Profile: "Profile", Move: "Moved to another layer",
	Modify: "Changed", Create: "Created", HostChanged: "Hosts that change", HostAdded: "New hosts", SiteAdded: "New sites",
	Unreadable: "Secrets that hosts cannot open", NewImage: "Images from elsewhere", Unlocked: "Images without a digest in content.lock",
}

// changes fills the sections with as many groups as there is room for.
func (p *page) changes(parsed *template.Template, groups []Group) (shown int, err error) {
	size := 0
	var block bytes.Buffer
	for i := range groups {
		block.Reset()
		group := newPageGroup(&groups[i])
		group.Server = p.served.page(&groups[i])
		if err := parsed.ExecuteTemplate(&block, "group", group); err != nil {
			return shown, err
		}
		if size += block.Len(); size > pageSize {
			return shown, nil
		}
		title := headings[groups[i].Kind]
		if groups[i].Danger != "" && !groups[i].Kind.warning() {
			title = "Look twice"
		}
		if n := len(p.Sections); n == 0 || p.Sections[n-1].Title != title {
			p.Sections = append(p.Sections, pageSection{Title: title})
		}
		s := &p.Sections[len(p.Sections)-1]
		s.Number++
		s.Groups = append(s.Groups, template.HTML(block.String()))
		shown++
	}
	return shown, nil
}

// colourOf is how a kind is shown: red for what goes, green for what comes.
func colourOf(k Kind) string {
	switch colours[k] {
	case red:
		return "red"
	case yellow:
		return "yellow"
	case green:
		return "green"
	}
	return ""
}

// someNames is a list without a script.
func someNames(names []string) string {
	var out []string
	for _, name := range names[:min(len(names), pageSome)] {
		out = append(out, shorten(clean(name), 300))
	}
	text := strings.Join(out, ", ")
	if left := len(names) - len(out); left > 0 {
		text += fmt.Sprintf(" and %d more (holdfast diff -o json has all)", left)
	}
	return text
}

package review_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holdfast-fleet/holdfast/review"
)

func writePage(t *testing.T, c *review.Changes) string {
	var out bytes.Buffer
	require.NoError(t, c.HTML(&out))
	file := filepath.Join(t.TempDir(), "changes.html")
	require.NoError(t, os.WriteFile(file, out.Bytes(), 0o644))
	return file
}

// shown lists the titles of the changes that are not filtered out.
const shown = `[...document.querySelectorAll('details.change:not([hidden]) h3')].map(e => e.textContent.trim()).join('; ')`

func TestThePageWorksInABrowser(t *testing.T) {
	t.Parallel()
	e, head := changed(t)
	c := e.diff(e.base, head)
	c.Approvals = &review.Approval{State: "refused", Reason: "not signed", Needs: []string{"**: 1 of platform"}}
	b := startChromium(t)
	file := writePage(t, &c)
	b.open(file, "")
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	require.Equal(t, "10 changes and 1 warning, for 2 hosts", b.eval(`document.getElementById('count').textContent`))
	require.Equal(t, "Look twice 2", b.eval(`document.querySelector('section.kind h2').textContent`))

	b.press("/")
	require.Equal(t, "search", b.eval("document.activeElement.id"))
	for _, tt := range []struct{ words, count, titles string }{
		{"greeting", "1 of 11 shown, for 1 host", "change Deployment shop/web image 1.0.0 → 1.0.1 and 1 more field (layer shop)"},
		{"kiosk-001", "2 of 11 shown, for 2 hosts", "unlocked-image holdfast.dev/example/web:1.0.1; change Deployment kiosk/web image 1.0.0 → 1.0.1 (layer page)"},
		{"STORE-043-A quota", "1 of 11 shown, for 1 host", "delete ResourceQuota shop/shop (layer platform)"},
		{"no such thing", "0 of 11 shown, for 0 hosts", ""},
	} {
		b.typeText(tt.words)
		require.Equal(t, tt.titles, b.eval(shown), tt.words)
		require.Equal(t, tt.count, b.eval(`document.getElementById('count').textContent`), tt.words)
		require.Equal(t, tt.titles == "", b.eval(`document.getElementById('none').hidden === false`))
		b.press("Escape")
		require.Equal(t, "", b.eval(`document.getElementById('search').value`))
		require.Equal(t, 11.0, b.eval(`document.querySelectorAll('details.change:not([hidden])').length`))
		b.press("/")
	}
	b.press("Escape")

	for filter, titles := range map[string]string{
		"kind=create":     "create Secret shop/token (layer platform)",
		"layer=page":      "change Deployment kiosk/web image 1.0.0 → 1.0.1 (layer page)",
		"profile=kiosk":   "unlocked-image holdfast.dev/example/web:1.0.1; change Deployment kiosk/web image 1.0.0 → 1.0.1 (layer page)",
		"place=apac":      "unlocked-image holdfast.dev/example/web:1.0.1; change Deployment kiosk/web image 1.0.0 → 1.0.1 (layer page)",
		"kind=host-added": "",
	} {
		id, value, _ := strings.Cut(filter, "=")
		b.eval(fmt.Sprintf(`(() => { const s = document.getElementById(%q); s.value = %q; s.dispatchEvent(new Event('input', {bubbles: true})) })()`, id, value))
		b.settle()
		if titles != "" {
			require.Equal(t, titles, b.eval(shown), filter)
		}
		b.click("button[type=reset]")
		require.Equal(t, 11.0, b.eval(`document.querySelectorAll('details.change:not([hidden])').length`))
	}
	b.click("#danger")
	require.Equal(t, "delete CustomResourceDefinition pricelists.shop.holdfast.dev (layer crds); delete layer crds", b.eval(shown))
	b.click("details.dangerous summary")
	require.Equal(t, true, b.eval("document.querySelector('details.dangerous').open"))
	require.Equal(t, "store-042, store-043", b.eval("document.querySelector('details.dangerous .names p').textContent"))

	// A link leads to its change, whatever is filtered out.
	id := b.eval(`[...document.querySelectorAll('details.change')].find(e => e.textContent.includes('GREETING')).id`).(string)
	b.eval(fmt.Sprintf("location.hash = %q; 0", id))
	b.settle()
	require.Equal(t, true, b.eval(fmt.Sprintf(`(e => e.open && !e.hidden)(document.getElementById(%q))`, id)))
	b.open(writePage(t, &c), id)
	require.Equal(t, true, b.eval(fmt.Sprintf("document.getElementById(%q).open", id)))

	b.click("#open")
	for _, width := range []int{1280, 360} {
		for _, scheme := range []string{"light", "dark"} {
			b.eval("scrollTo(0, 0); 0")
			b.look(fmt.Sprintf("page-%d-%s", width, scheme), width, 1400, scheme)
			require.LessOrEqual(t, b.eval("document.documentElement.scrollWidth").(float64), float64(width), "it does not scroll sideways")
			require.Empty(t, b.eval(contrast), "%s at %d", scheme, width)
			b.eval("document.querySelector('.fields').scrollIntoView(); 0")
			b.look(fmt.Sprintf("fields-%d-%s", width, scheme), width, 1400, scheme)
		}
	}
	b.click("#close")
	b.call("Page.printToPDF", nil, nil)
	require.Equal(t, 0.0, b.eval("document.querySelectorAll('details[open]').length"), "what printing opened is closed again")
	b.call("Emulation.setEmulatedMedia", map[string]any{"media": "print"}, nil)
	require.Equal(t, 0.0, b.eval("document.getElementById('tools').offsetHeight"))
	require.Empty(t, b.trouble)
	for _, address := range b.asked {
		require.Regexp(t, "^(file://|data:|about:)", address)
	}
}

// contrast lists texts that stand out less from what is behind them than WCAG's AA asks for.
const contrast = `(() => {
	const parse = c => c.match(/[\d.]+/g).map(Number);
	const light = c => { const [r, g, b] = parse(c).map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
	const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (parse(c)[3] !== 0) return c } return 'rgb(255, 255, 255)' };
	const bad = [];
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility()) continue;
		const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x);
		if ((a + 0.05) / (b + 0.05) < 4.5) bad.push(e.tagName + '.' + e.className + ': ' + e.textContent.slice(0, 40));
	}
	const unnamed = [...document.querySelectorAll('input, select, button')].filter(e => !(e.labels?.length || e.textContent.trim()));
	return bad.concat(unnamed.map(e => 'no label: ' + e.id)).join('\n');
})()`

// great is a change of 10,000 hosts among 2,000 changes.
func great() *review.Changes {
	c := &review.Changes{Base: "a", Head: "b", Sites: 5000, Hosts: 10_000}
	var sites, hosts []string
	for i := range 5000 {
		site := fmt.Sprintf("store-%05d", i)
		sites = append(sites, site)
		hosts = append(hosts, site+"-a", site+"-b")
	}
	c.Groups = append(c.Groups, review.Group{Change: review.Change{Kind: review.Modify, Object: "Deployment shop/web", Layer: "shop",
		Fields: []review.Field{{Path: "spec.replicas", Old: json.RawMessage("1"), New: json.RawMessage("2")}}}, Sites: sites, Hosts: hosts})
	for i := range 1999 {
		var some, theirs []string
		for j := i % 7; j < 5000; j += 1 + i%50 {
			some, theirs = append(some, sites[j]), append(theirs, hosts[2*j])
		}
		g := review.Group{Change: review.Change{Kind: review.Modify, Object: fmt.Sprintf("ConfigMap shop/c%d", i), Layer: "shop"}, Sites: some, Hosts: theirs}
		for n := range 20 {
			g.Fields = append(g.Fields, review.Field{Path: fmt.Sprintf("data.key%d", n), Old: json.RawMessage(`"old"`), New: json.RawMessage(`"new"`)})
		}
		c.Groups = append(c.Groups, g)
	}
	return c
}

func TestAGreatPageIsQuick(t *testing.T) {
	t.Parallel()
	c := great()
	start := time.Now()
	file := writePage(t, c)
	written := time.Since(start)
	info, err := os.Stat(file)
	require.NoError(t, err)
	b := startChromium(t)
	loaded := b.open(file, "")
	require.Equal(t, "2000 changes, for 10000 hosts", b.eval(`document.getElementById('count').textContent`))
	b.call("Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil)
	b.press("/")
	start = time.Now()
	b.typeText("store-04321-b")
	found := time.Since(start)
	require.Equal(t, "1 of 2000 shown, for 10000 hosts", b.eval(`document.getElementById('count').textContent`))
	start = time.Now()
	b.click("details.change:not([hidden]) summary")
	opened := time.Since(start)
	require.Equal(t, "store-04321-b", b.eval("document.querySelector('details[open] .names[data-of=hosts] mark').textContent"))
	require.Less(t, b.eval("document.querySelector('details[open] .names[data-of=hosts] p').textContent.length"), 5000.0, "not all at once")
	b.click("details[open] .names[data-of=hosts] button")
	require.Equal(t, 10_000.0, b.eval("document.querySelector('details[open] .names[data-of=hosts] p').textContent.split(', ').length"))
	b.press("Escape")
	start = time.Now()
	b.click("#open")
	all := time.Since(start)
	t.Logf("%d KiB: written in %v, loaded %v, found %v, opened %v, all opened %v", info.Size()>>10, written, loaded, found, opened, all)
	require.Empty(t, b.trouble)
}

func TestThePageIsReadWithoutAScript(t *testing.T) {
	t.Parallel()
	e, head := changed(t)
	c := e.diff(e.base, head)
	b := startChromium(t)
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.open(writePage(t, &c), "")
	require.Equal(t, true, b.eval("document.getElementById('tools').hidden"))
	require.Equal(t, "10 changes and 1 warning", b.eval("document.getElementById('count').textContent"))
	require.Equal(t, 11.0, b.eval(`document.querySelectorAll('details.change').length`))
	require.Contains(t, b.eval("document.body.textContent"), "store-042, store-043")
	require.Empty(t, b.trouble)
}

// hostile is what a repository might say to get into the page.
const hostile = `</script><script>alert(1)</script><img src=x onerror=alert(1)>"'` + "`\u202e\x1b[31m\u2028"

func TestWhatARepositorySaysStaysText(t *testing.T) {
	t.Parallel()
	value, err := json.Marshal(hostile + "\n" + hostile)
	require.NoError(t, err)
	c := &review.Changes{Base: hostile, Head: hostile, Notes: []string{hostile}, Approvals: &review.Approval{State: hostile, Reason: hostile, Needs: []string{hostile}}}
	for _, kind := range []review.Kind{review.Modify, review.Distribution, hostile} {
		c.Groups = append(c.Groups, review.Group{Change: review.Change{Kind: kind, Object: hostile, Layer: hostile + string(kind), From: hostile, Danger: hostile, Note: hostile,
			Fields: []review.Field{{Path: hostile, Old: value, New: json.RawMessage("1"), Immutable: true}}}, Sites: []string{hostile}, Hosts: []string{hostile}})
	}
	c.Warnings = c.Groups
	b := startChromium(t)
	b.open(writePage(t, c), "")
	b.eval("for (const e of document.querySelectorAll('details')) e.open = true; 0")
	b.settle()
	require.Equal(t, 2.0, b.eval("document.scripts.length"))
	require.Equal(t, 0.0, b.eval("document.images.length"))
	require.Contains(t, b.eval("document.querySelector('h3').textContent"), "<img src=x onerror=alert(1)>")
	require.Empty(t, b.trouble)
	require.Len(t, b.asked, 1, "the page alone: %v", b.asked)
}

func TestThePageIsBounded(t *testing.T) {
	t.Parallel()
	c := great()
	long := strings.Repeat("<", 4000)
	quoted, err := json.Marshal(long)
	require.NoError(t, err)
	for i := range c.Groups {
		c.Groups[i].Note, c.Groups[i].Danger = long, long
		c.Groups[i].Sites = append(c.Groups[i].Sites, fmt.Sprintf("%s%d", long, i))
		for n := range 200 - i%2*180 {
			c.Groups[i].Fields = append(c.Groups[i].Fields, review.Field{Path: long, Old: quoted, New: json.RawMessage(fmt.Sprint(n))})
		}
		c.Notes = append(c.Notes, long)
		c.Warnings = append(c.Warnings, c.Groups[i])
	}
	c.Approvals = &review.Approval{Reason: long, Needs: c.Notes}
	var out bytes.Buffer
	require.NoError(t, c.HTML(&out))
	require.LessOrEqual(t, out.Len(), 17<<20)
	for _, said := range []string{`[0-9]+ of 4000 are left out here: run holdfast diff for all`, "and 101 more fields", "and 1500 more"} {
		require.True(t, regexp.MustCompile(said).Match(out.Bytes()), said)
	}
}

func TestOfALongTextThePageShowsTheLinesThatDiffer(t *testing.T) {
	t.Parallel()
	text := func(line string) json.RawMessage {
		data, err := json.Marshal(strings.Repeat("same\n", 9) + line + strings.Repeat("\nsame too", 9))
		require.NoError(t, err)
		return data
	}
	c := &review.Changes{Groups: []review.Group{{Change: review.Change{Kind: review.Modify, Fields: []review.Field{{Path: "data.conf", Old: text("old"), New: text("new")}}}}}}
	var out bytes.Buffer
	require.NoError(t, c.HTML(&out))
	require.Contains(t, out.String(), "<ins>… 7 lines alike\nsame\nsame\nnew\nsame too\nsame too\n… 7 lines alike</ins>")
}

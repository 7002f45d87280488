package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"go.yaml.in/yaml/v3"
)

// workflow is as much of a workflow of GitHub as init writes: more than that, this test cannot run.
type workflow struct {
	Name, On    string
	Permissions map[string]string
	Env         map[string]string
	Jobs        map[string]struct {
		RunsOn string `yaml:"runs-on"`
		Steps  []struct {
			Name, Uses, Run string
			With, Env       map[string]string
		}
	}
}

// github runs the workflow of the checked out pull request that ends with HEAD, for
// main, as GitHub does: "github".
func github(ts *testscript.TestScript, neg bool, args []string) {
	var w workflow
	readPipeline(ts, args, ".github/workflows/fleet.yaml", &w)
	if w.On != "pull_request" || w.Permissions["pull-requests"] != "write" || len(w.Jobs) != 1 {
		ts.Fatalf("not a workflow of one job that comments on pull requests")
	}
	temp := ts.MkAbs("../temp")
	ts.Check(os.MkdirAll(temp, 0o700))
	known := map[string]string{"github.base_ref": "main", "github.event.pull_request.head.sha": headOf(ts),
		"github.event.number": "7", "github.token": "secret", "runner.temp": temp}
	ts.Setenv("RUNNER_TEMP", temp)
	ts.Setenv("GITHUB_REPOSITORY", "shops/fleet")
	setAll(ts, known, w.Env)
	var err error
	for _, job := range w.Jobs {
		for _, step := range job.Steps {
			setAll(ts, known, step.Env)
			switch {
			case step.Run != "":
				err = ts.Exec("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step.Run)
			case step.Uses == "actions/upload-artifact@v4":
				_, err = os.Stat(expanded(ts, known, step.With["path"]))
			case !slices.Contains([]string{"actions/checkout@v4", "actions/setup-go@v5"}, step.Uses):
				ts.Fatalf("a step that uses %s", step.Uses)
			}
			if err != nil {
				err = fmt.Errorf("step %s: %w", step.Name, err)
				break
			}
		}
	}
	judge(ts, neg, err)
}

// gitlabCI is as much of a pipeline of GitLab as init writes.
type gitlabCI struct {
	Fleet struct {
		Image        string
		Rules        []struct{ If string }
		Variables    map[string]string
		BeforeScript []string `yaml:"before_script"`
		Script       []string
		Artifacts    struct {
			When  string
			Paths []string
		}
	}
}

// gitlab runs the pipeline of the checked out merge request that ends with HEAD, for
// main, as GitLab does, and writes what is commented to a file: "gitlab comment.md".
func gitlab(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: gitlab FILE")
	}
	var p gitlabCI
	readPipeline(ts, args[1:], ".gitlab-ci.yml", &p)
	if rules := p.Fleet.Rules; len(rules) != 1 || rules[0].If != `$CI_PIPELINE_SOURCE == "merge_request_event"` {
		ts.Fatalf("not a pipeline of merge requests")
	}
	server := httptest.NewServer(gitlabNotes(ts.MkAbs(args[0])))
	defer server.Close()
	setAll(ts, nil, p.Fleet.Variables)
	setAll(ts, nil, map[string]string{"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_COMMIT_SHA": headOf(ts), "CI_PROJECT_ID": "5",
		"CI_MERGE_REQUEST_IID": "7", "CI_API_V4_URL": server.URL + "/api/v4", "FLEET_TOKEN": "secret"})
	lines := slices.Concat(p.Fleet.BeforeScript, p.Fleet.Script)
	err := ts.Exec("bash", "-e", "-u", "-o", "pipefail", "-c", strings.Join(lines, "\n"))
	for _, file := range p.Fleet.Artifacts.Paths {
		_, missing := os.Stat(ts.MkAbs(file))
		err = errors.Join(err, missing)
	}
	judge(ts, neg, err)
}

// gitlabNotes answers as https://docs.gitlab.com/api/notes says, of a merge request
// that somebody else has commented, too. What the pipeline notes is kept in a file.
func gitlabNotes(file string) http.Handler {
	mux := http.NewServeMux()
	const notes = "/api/v4/projects/5/merge_requests/7/notes"
	type author struct {
		ID int `json:"id"`
	}
	type note struct {
		ID     int    `json:"id"`
		Author author `json:"author"`
		Body   string `json:"body"`
	}
	mux.HandleFunc("GET /api/v4/user", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"id": 3, "username": "project_5_bot"}`) })
	mux.HandleFunc("GET "+notes, func(w http.ResponseWriter, r *http.Request) {
		list := []note{{1, author{3}, "Something else that the token says"}, {2, author{4}, "### Holdfast: is what I like\n\"}]"}}
		if data, err := os.ReadFile(file); err == nil {
			list = append(list, note{11, author{3}, string(data)})
		}
		_ = json.NewEncoder(w).Encode(list)
	})
	keep := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, err := os.Stat(file)
			if there := err == nil; there != (r.Method == http.MethodPut) {
				http.Error(w, "a second note", http.StatusConflict)
				return
			}
			if err := os.WriteFile(file, []byte(r.FormValue("body")), 0o600); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.WriteHeader(status)
		}
	}
	mux.HandleFunc("POST "+notes, keep(http.StatusCreated))
	mux.HandleFunc("PUT "+notes+"/11", keep(http.StatusOK))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("PRIVATE-TOKEN") != "secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func readPipeline(ts *testscript.TestScript, args []string, file string, to any) {
	if len(args) > 0 {
		ts.Fatalf("too many arguments")
	}
	dec := yaml.NewDecoder(bytes.NewReader([]byte(ts.ReadFile(file))))
	dec.KnownFields(true)
	ts.Check(dec.Decode(to))
}

func headOf(ts *testscript.TestScript) string {
	ts.Check(ts.Exec("git", "rev-parse", "HEAD"))
	return strings.TrimSpace(ts.ReadFile("stdout"))
}

var expression = regexp.MustCompile(`\$\{\{ *([a-z._]+) *\}\}`)

// expanded replaces the expressions of a workflow by what is known.
func expanded(ts *testscript.TestScript, known map[string]string, text string) string {
	return expression.ReplaceAllStringFunc(text, func(e string) string {
		value, ok := known[expression.FindStringSubmatch(e)[1]]
		if !ok {
			ts.Fatalf("an expression that is not known: %s", e)
		}
		return value
	})
}

func setAll(ts *testscript.TestScript, known, values map[string]string) {
	for name, value := range values {
		ts.Setenv(name, expanded(ts, known, value))
	}
}

func judge(ts *testscript.TestScript, neg bool, err error) {
	if neg && err == nil {
		ts.Fatalf("it passes")
	}
	if !neg {
		ts.Check(err)
	}
	if err != nil {
		ts.Logf("%v", err)
	}
}

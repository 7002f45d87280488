package fleet

import (
	"errors"
	"io/fs"
	"path"
	"strings"
)

// Limits of a fleet repository.
const maxFiles = 500_000

// MaxFolders is how many folders of a fleet may lie in each other.
const MaxFolders = 32

const deepTip = "move them up"

// folder reads files below a folder of the fleet, and names them from there.
type folder struct {
	fsys fs.FS
	dir  string
	*problems
	entries map[string][]fs.DirEntry // of folders that were surveyed
}

// survey lists all that is below name, and refuses what is nested too deep or is
// neither a file nor a folder: a link could lead out of what was reviewed.
func (f folder) survey(name string, depth int, files, height *int) {
	if *files++; depth >= MaxFolders-strings.Count(f.dir, "/") {
		f.add(name, 0, deepTip, "folders are nested deeper than %d", MaxFolders).Rule = RuleTooLarge
		return
	}
	*height = max(*height, depth)
	entries, err := fs.ReadDir(f.fsys, path.Join(f.dir, name))
	if err != nil && (depth > 0 || !errors.Is(err, fs.ErrNotExist)) {
		f.unreadable(name, err)
	}
	f.entries[name] = entries
	for _, e := range entries {
		full := path.Join(name, e.Name())
		if !f.regular(full, e) {
			continue
		}
		if !e.IsDir() {
			*files++
			continue
		}
		if f.survey(full, depth+1, files, height); *files > maxFiles {
			return
		}
	}
}

// regular refuses what is neither a file nor a folder of the repository.
func (ps *problems) regular(name string, e fs.DirEntry) bool {
	switch {
	case e.Name() == ".git":
		ps.add(path.Dir(name), 0, "copy the files into the repository", "a repository of its own (a submodule?), which hosts do not get").Rule = RuleIrregularFile
	case e.Type()&fs.ModeSymlink != 0:
		ps.add(name, 0, "put a copy there, or share it through bases/", "a symbolic link, which a fleet may not have").Rule = RuleIrregularFile
	case !e.IsDir() && !e.Type().IsRegular():
		ps.add(name, 0, "copy the files into the repository", "neither a file nor a folder (a submodule?)").Rule = RuleIrregularFile
	default:
		return true
	}
	return false
}

// unreadable reports what a file system refuses, by the name that it gives.
func (f folder) unreadable(name string, err error) {
	if p := new(fs.PathError); errors.As(err, &p) && p.Path != "" {
		name = strings.TrimPrefix(p.Path, f.dir+"/")
	}
	f.add(name, 0, "a fleet holds files and folders that everybody can read: put a copy there", "%s", withoutPath(err)).Rule = RuleIrregularFile
}

// withoutPath is what an error of a file system says beside the path.
func withoutPath(err error) string {
	if p := new(fs.PathError); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// read returns a file; if it cannot, that is a problem.
func (f folder) read(name, missingTip string) ([]byte, bool) {
	data, err := ReadFile(f.fsys, path.Join(f.dir, name), MaxFileSize)
	problem := new(Problem)
	switch {
	case err == nil:
		return data, true
	case errors.Is(err, fs.ErrNotExist):
		f.add(name, 0, missingTip, "the file is missing").Rule = RuleMissingFile
	case errors.As(err, &problem):
		f.add(name, problem.Line, problem.Tip, "%s", problem.Msg).Rule = problem.Rule
	default:
		f.add(name, 0, "", "%s", withoutPath(err)).Rule = RuleIrregularFile
	}
	return nil, false
}

func hidden(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }

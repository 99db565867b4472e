package souk

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lastRequirement is the number of the last thing that the shop must do.
const lastRequirement = 141

// A requirement is a row of docs/requirements.md: a number, what the shop must do, and what shows that it does.
type requirement struct {
	number   int
	where    string // file:line
	what, by string
}

// docs/requirements.md has each thing that the shop must do once, with the test that shows it: a function that is there, and a subtest whose
// words are somewhere in its package, or a command whose figures are linked. What these assert is for readers to judge. A test that bears the number
// of a row is named by that row, whether the number is in its name (TestS109…) or in a subtest's ("S106 a cancelled order …").
func TestEachRequirementIsShown(t *testing.T) {
	tests := readTests(t)
	seen, named := map[int]string{}, map[string]bool{}
	for _, r := range readRequirements(t) {
		if before, twice := seen[r.number]; twice || r.number < 1 || r.number > lastRequirement {
			t.Errorf("%s: S%d is none of the list's numbers, or is at %s too", r.where, r.number, before)
		}
		seen[r.number] = r.where
		if r.what == "" {
			t.Errorf("%s: S%d does not say what the shop must do", r.where, r.number)
		}
		for _, wrong := range r.check(tests, named) {
			t.Errorf("%s: S%d: %s", r.where, r.number, wrong)
		}
	}
	for n := 1; n <= lastRequirement; n++ {
		if seen[n] == "" {
			t.Errorf("S%d is missing", n)
		}
	}
	for _, of := range tests {
		for name := range of.numbered {
			for _, n := range numbers.FindAllString(inName.FindString(name)+inText.FindString(name), -1) {
				number, _ := strconv.Atoi(n[1:])
				if where := seen[number]; where != "" && !named[fmt.Sprint(number, " ", of.pkg, " ", name)] {
					t.Errorf("%s: S%d does not name %s of %s", where, number, name, of.pkg)
				}
			}
		}
	}
}

var (
	row     = regexp.MustCompile(`^\|\s*S?(\d+)\s*\|(.*)\|(.*)\|\s*$`)
	span    = regexp.MustCompile("`([^`]+)`")
	link    = regexp.MustCompile(`\]\(([^)#]+)(?:#([^)]+))?\)`)
	inName  = regexp.MustCompile(`^Test(S\d+)+`)
	inText  = regexp.MustCompile(`^(S\d+ )+\D`)
	numbers = regexp.MustCompile(`S\d+`)
	sign    = regexp.MustCompile(`[^\w -]`)
)

func readRequirements(t *testing.T) (all []requirement) {
	t.Helper()
	file := filepath.Join("docs", "requirements.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(text), "\n") {
		if m := row.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			all = append(all, requirement{n, fmt.Sprintf("%s:%d", file, i+1), strings.TrimSpace(m[2]), strings.TrimSpace(m[3])})
		}
	}
	return all
}

// check says what is wrong with what the row is shown by, and notes the tests that it names: each of the package named before it.
func (r requirement) check(tests map[string]*tested, named map[string]bool) (wrong []string) {
	pkg, shown := "", false
	for _, m := range span.FindAllStringSubmatch(r.by, -1) {
		text := m[1]
		if of, name, ok := strings.Cut(text, " Test"); ok && tests[of] != nil {
			pkg, text = of, "Test"+name
		}
		if tests[text] != nil {
			pkg = text
			continue
		}
		if !strings.HasPrefix(text, "Test") {
			shown = shown || strings.HasPrefix(text, "souk bench ") || strings.HasPrefix(text, "make ")
			continue
		}
		name, sub, _ := strings.Cut(text, "/")
		of := tests[pkg]
		switch {
		case of == nil:
			wrong = append(wrong, text+" has no package with tests before it")
		case !of.functions[name]:
			wrong = append(wrong, "there is no "+name+" in "+pkg)
		case sub != "" && !of.says(sub):
			wrong = append(wrong, fmt.Sprintf("%s of %s has no %q", name, pkg, sub))
		default:
			shown = true
			for _, part := range append(strings.Split(sub, "/"), sub, name) {
				named[fmt.Sprint(r.number, " ", pkg, " ", part)] = true
			}
		}
	}
	for _, m := range link.FindAllStringSubmatch(r.by, -1) {
		if !heading(filepath.Join("docs", m[1]), m[2]) {
			wrong = append(wrong, "there is no "+m[0])
		}
	}
	_, lacks, notYet := strings.Cut(r.by, "not yet:")
	if notYet && strings.TrimSpace(lacks) == "" {
		wrong = append(wrong, "it does not say what is missing")
	}
	if !shown && !notYet && !strings.Contains(r.by, "assumption") {
		wrong = append(wrong, "nothing shows it")
	}
	return wrong
}

// heading tells whether a page is there and has a heading that the anchor leads to.
func heading(file, anchor string) bool {
	text, err := os.ReadFile(file)
	if err != nil || anchor == "" {
		return err == nil
	}
	for line := range strings.Lines(string(text)) {
		title := strings.TrimSpace(strings.TrimLeft(line, "#"))
		if strings.HasPrefix(line, "#") && strings.ReplaceAll(sign.ReplaceAllString(strings.ToLower(title), ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// tested is what the tests of a package are called.
type tested struct {
	pkg       string
	functions map[string]bool
	literals  map[string]bool // subtests are among them
	suites    []string        // packages ending in test that they run: a store's behaviour has its own
	numbered  map[string]bool // those that bear the number of a requirement
	all       map[string]*tested
}

// says tells whether a subtest, or each of its parts, is written in the tests of the package or in a suite that they run.
func (of *tested) says(sub string) bool {
	says := func(text string) bool {
		return of.literals[text] || slices.ContainsFunc(of.suites, func(suite string) bool { return of.all[suite] != nil && of.all[suite].literals[text] })
	}
	return says(sub) || !slices.ContainsFunc(strings.Split(sub, "/"), func(part string) bool { return !says(part) })
}

// readTests reads all tests of the repository, by the folder of their package; "." is its root.
func readTests(t *testing.T) map[string]*tested {
	t.Helper()
	all := map[string]*tested{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "tmp" || len(d.Name()) > 1 && d.Name()[0] == '.') {
			return filepath.SkipDir
		}
		pkg := path.Dir(filepath.ToSlash(file))
		if d.IsDir() || !strings.HasSuffix(file, "_test.go") && (!strings.HasSuffix(file, ".go") || !strings.HasSuffix(pkg, "test")) {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		of := all[pkg]
		if of == nil {
			of = &tested{pkg: pkg, functions: map[string]bool{}, literals: map[string]bool{}, numbered: map[string]bool{}, all: all}
			all[pkg] = of
		}
		of.read(parsed)
		return nil
	})
	if err != nil || len(all) < 30 {
		t.Fatalf("%d packages with tests, %v", len(all), err)
	}
	return all
}

func (of *tested) read(file *ast.File) {
	for _, i := range file.Imports {
		if imported, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/"); ok && strings.HasSuffix(imported, "test") {
			of.suites = append(of.suites, imported)
		}
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
			of.functions[f.Name.Name] = true
			if inName.MatchString(f.Name.Name) {
				of.numbered[f.Name.Name] = true
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
			if text, err := strconv.Unquote(l.Value); err == nil {
				of.literals[text] = true
				if inText.MatchString(text) {
					of.numbered[text] = true
				}
			}
		}
		return true
	})
}

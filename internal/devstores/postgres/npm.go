package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// completeNPM makes the links between libraries that npm packages cannot hold, as the package's install script does,
// which npm does not run for everybody.
func completeNPM(bin string) error {
	pkg := filepath.Dir(filepath.Dir(bin))
	text, err := os.ReadFile(filepath.Join(pkg, "native", "pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not of npm
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("links of %s: %w", pkg, err)
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Target) {
			return fmt.Errorf("links of %s: %s leads out of it", pkg, l.Target)
		}
		to := filepath.Join(pkg, l.Target)
		from, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return fmt.Errorf("links of %s: %w", pkg, err)
		}
		if err := os.Symlink(from, to); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

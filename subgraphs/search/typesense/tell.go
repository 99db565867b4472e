package typesense

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/typesense/typesense-go/v4/typesense/api"

	"github.com/souk-shop/souk/subgraphs/search"
)

// rounds is how often a write is repeated at most. Two are usual; a third means that somebody else wrote in between.
const rounds = 10

// Tell merges news into the index, a whole batch in one import.
//
// The engine offers no transaction, so nothing here reads before it writes. The first round only adds to "said", under keys that
// name the version: merges of that kind may come in any order. The engine returns each document as it then is, and one whose
// derived fields do not follow from all it was told gets another round. Of two writers at once the later sees what both have
// said, and none leaves before it has seen its last write come out right; so the last write of all is right.
func (s *Store) Tell(ctx context.Context, news search.News) error {
	var writes []document
	for _, id := range slices.Sorted(maps.Keys(news)) {
		writes = append(writes, document{"id": id, "said": news[id]})
	}
	for range rounds {
		if len(writes) == 0 {
			return nil
		}
		written, err := s.merge(ctx, writes)
		if err != nil {
			return err
		}
		writes = nil
		for _, d := range written {
			change, err := d.patch()
			if err != nil {
				return err
			}
			if change != nil {
				writes = append(writes, change)
			}
		}
	}
	return search.ErrDown.Says("the index is changed by too many at once")
}

// merge adds to documents and returns them as they are then.
func (s *Store) merge(ctx context.Context, writes []document) ([]document, error) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	for _, w := range writes {
		if err := enc.Encode(w); err != nil {
			return nil, err
		}
	}
	answer, err := s.client.Collection(s.collection).Documents().ImportJsonl(ctx, &body,
		&api.ImportDocumentsParams{Action: ref(api.Emplace), ReturnDoc: ref(true)})
	if err != nil {
		return nil, s.fail(ctx, "import", err)
	}
	defer answer.Close()
	out := make([]document, 0, len(writes))
	for dec := numbers(answer); len(out) < len(writes); {
		var line struct {
			Success  bool
			Code     int
			Error    string
			Document json.RawMessage // the whole of it, or as a string what was refused
		}
		if err := dec.Decode(&line); err != nil {
			return nil, s.fail(ctx, "import", err)
		}
		if !line.Success {
			refused := fmt.Errorf("document %v: %s", writes[len(out)]["id"], line.Error)
			if line.Code >= http.StatusInternalServerError {
				return nil, s.fail(ctx, "import", refused)
			}
			return nil, fmt.Errorf("search engine: import: %w", refused)
		}
		var d document
		if err := numbers(bytes.NewReader(line.Document)).Decode(&d); err != nil {
			return nil, s.fail(ctx, "import", err)
		}
		out = append(out, d)
	}
	return out, nil
}

func numbers(r io.Reader) *json.Decoder {
	d := json.NewDecoder(r)
	d.UseNumber()
	return d
}

const lot = 200

// fill tells this collection what another one was told.
func (s *Store) fill(ctx context.Context, from string) error {
	all, err := s.client.Collection(from).Documents().Export(ctx, &api.ExportDocumentsParams{IncludeFields: ref("id,said")})
	if status(err) == http.StatusNotFound {
		return nil // somebody has tidied up
	}
	if err != nil {
		return err
	}
	defer all.Close()
	news := search.News{}
	for dec := json.NewDecoder(bufio.NewReader(all)); ; {
		var one struct {
			ID   string
			Said search.Told
		}
		err := dec.Decode(&one)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err == nil {
			news[one.ID] = one.Said
		}
		if len(news) == lot || err != nil {
			if told := s.Tell(ctx, news); told != nil {
				return told
			}
			clear(news)
		}
		if err != nil {
			return nil
		}
	}
}

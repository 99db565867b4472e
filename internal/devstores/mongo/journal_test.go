package mongo

import (
	"log/slog"
	"testing"

	"go.mongodb.org/mongo-driver/bson"
)

// TestAFailedCommitStopsTheStore: memory is then ahead of the disk, so nothing more may be read or promised.
func TestAFailedCommitStopsTheStore(t *testing.T) {
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.journal.db.Close(); err != nil { // the disk is gone
		t.Fatal(err)
	}
	send := func(args bson.D) bson.D {
		return (&request{server: s, name: args[0].Key, database: "shop", args: args}).answer()
	}
	insert := bson.D{{Key: "insert", Value: "a"}, {Key: "documents", Value: bson.A{bson.D{{Key: "_id", Value: int32(1)}}}}}
	for _, command := range []bson.D{insert, insert, {{Key: "find", Value: "a"}}} {
		if answer := send(command); lookup(answer, "code") != int32(codeInternalError) {
			t.Errorf("%v: %v", command, answer)
		}
	}
	if err := s.Close(); err == nil {
		t.Error("close is content")
	}
}

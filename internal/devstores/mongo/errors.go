package mongo

import (
	"errors"
	"fmt"

	"go.mongodb.org/mongo-driver/bson"
)

// code is one of MongoDB's numbered errors, the part of an answer that clients decide on.
type code int32

const (
	codeInternalError          code = 1
	codeBadValue               code = 2
	codeFailedToParse          code = 9
	codeTypeMismatch           code = 14
	codeOverflow               code = 15
	codeInvalidLength          code = 16
	codeInvalidBSON            code = 22
	codeNamespaceNotFound      code = 26
	codeIndexNotFound          code = 27
	codePathNotViable          code = 28
	codeConflictingUpdates     code = 40
	codeCursorNotFound         code = 43
	codeNamespaceExists        code = 48
	codeDollarPrefixedField    code = 52
	codeInvalidIDField         code = 53
	codeCommandNotFound        code = 59
	codeImmutableField         code = 66
	codeCannotCreateIndex      code = 67
	codeInvalidOptions         code = 72
	codeInvalidNamespace       code = 73
	codeIndexOptionsConflict   code = 85
	codeIndexKeySpecsConflict  code = 86
	codeCommandNotSupported    code = 115
	codeInvalidPipelineOp      code = 168
	codeCannotIndexParallel    code = 171
	codeNotImplemented         code = 238
	codeObjectTooLarge         code = 10334
	codeDuplicateKey           code = 11000
	codeGroupNeedsID           code = 15955
	codeGroupBadAccumulator    code = 15952
	codeDistinctTooBig         code = 17217
	codeUpdatedDocumentTooBig  code = 17419
	codePathCollision          code = 31249
	codeExclusionInInclusion   code = 31254
	codeMissingFirstFieldInAgg code = 40323
	codeUnknownStage           code = 40324
	codeMissingField           code = 40414
	codeReplaceRootNotDocument code = 40228
)

var codeNames = map[code]string{
	codeInternalError:         "InternalError",
	codeBadValue:              "BadValue",
	codeFailedToParse:         "FailedToParse",
	codeTypeMismatch:          "TypeMismatch",
	codeOverflow:              "Overflow",
	codeInvalidLength:         "InvalidLength",
	codeInvalidBSON:           "InvalidBSON",
	codeNamespaceNotFound:     "NamespaceNotFound",
	codeIndexNotFound:         "IndexNotFound",
	codePathNotViable:         "PathNotViable",
	codeConflictingUpdates:    "ConflictingUpdateOperators",
	codeCursorNotFound:        "CursorNotFound",
	codeNamespaceExists:       "NamespaceExists",
	codeDollarPrefixedField:   "DollarPrefixedFieldName",
	codeInvalidIDField:        "InvalidIdField",
	codeCommandNotFound:       "CommandNotFound",
	codeImmutableField:        "ImmutableField",
	codeCannotCreateIndex:     "CannotCreateIndex",
	codeInvalidOptions:        "InvalidOptions",
	codeInvalidNamespace:      "InvalidNamespace",
	codeIndexOptionsConflict:  "IndexOptionsConflict",
	codeIndexKeySpecsConflict: "IndexKeySpecsConflict",
	codeCommandNotSupported:   "CommandNotSupported",
	codeInvalidPipelineOp:     "InvalidPipelineOperator",
	codeCannotIndexParallel:   "CannotIndexParallelArrays",
	codeNotImplemented:        "NotImplemented",
	codeObjectTooLarge:        "BSONObjectTooLarge",
	codeDuplicateKey:          "DuplicateKey",
}

// String is MongoDB's name for the code; codes it never named are called by their location, as it does.
func (c code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("Location%d", int32(c))
}

// commandError is a refusal as the client sees it.
type commandError struct {
	code    code
	message string
	details bson.D // fields beside code and message, such as keyPattern
}

func (e *commandError) Error() string { return e.message }

func errorf(c code, format string, args ...any) error {
	return &commandError{code: c, message: fmt.Sprintf(format, args...)}
}

// unsupported names something MongoDB has and this engine lacks.
func unsupported(format string, args ...any) error {
	return errorf(codeNotImplemented, "%s not supported by the embedded store", fmt.Sprintf(format, args...))
}

// asCommandError gives every error a code; the kit's own errors are about bad arguments.
func asCommandError(err error) *commandError {
	var ce *commandError
	if errors.As(err, &ce) {
		return ce
	}
	return &commandError{code: codeBadValue, message: err.Error()}
}

// failure is the whole answer to a command that was refused.
func failure(err error) bson.D {
	ce := asCommandError(err)
	return append(bson.D{
		{Key: "ok", Value: float64(0)},
		{Key: "errmsg", Value: ce.message},
		{Key: "code", Value: int32(ce.code)},
		{Key: "codeName", Value: ce.code.String()},
	}, ce.details...)
}

// writeError is one refused statement of a bulk write.
func writeError(index int, err error) bson.D {
	ce := asCommandError(err)
	return append(bson.D{
		{Key: "index", Value: int32(index)},
		{Key: "code", Value: int32(ce.code)},
		{Key: "errmsg", Value: ce.message},
	}, ce.details...)
}

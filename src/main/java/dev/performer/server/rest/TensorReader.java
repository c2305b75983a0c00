package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.performer.PerformerException;
import dev.performer.data.NpyArray;
import dev.performer.data.NpyType;
import dev.performer.savedmodel.TensorSpec;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The array of an input from nested lists of JSON, read piece by piece: one value, or several of
 * one shape, which become its rows.
 */
final class TensorReader {
  /** Elements of an array at most: one of JSON may be 3 bytes, and takes ten times that here. */
  static final int MOST = 1 << 23;

  private static final int UNKNOWN = -1;

  private final TensorSpec input;
  private final NpyType type;
  private final Numbers numbers = new Numbers();
  private final List<byte[]> strings = new ArrayList<>();
  private final int[] sizes = new int[64]; // by level; of the value that is read
  private final int[] first = new int[64]; // of the first one
  private int rank;
  private int firstRank;
  private int values;
  private int elements;

  TensorReader(TensorSpec input) {
    this.input = input;
    type =
        switch (input.type()) {
          case DT_FLOAT, DT_HALF, DT_BFLOAT16 -> NpyType.FLOAT32;
          case DT_DOUBLE -> NpyType.FLOAT64;
          case DT_INT8 -> NpyType.INT8;
          case DT_INT16 -> NpyType.INT16;
          case DT_INT32 -> NpyType.INT32;
          case DT_INT64 -> NpyType.INT64;
          case DT_UINT8 -> NpyType.UINT8;
          case DT_UINT16 -> NpyType.UINT16;
          case DT_BOOL -> NpyType.BOOL;
          case DT_STRING -> NpyType.STRING;
          default ->
              throw new PerformerException(
                  "the input %s takes %s, which JSON does not give here"
                      .formatted(input.name(), input.typeName()));
        };
  }

  /** Reads the value that begins with the parser's token. */
  void read(JsonParser json) throws IOException {
    begin();
    read(json, 0);
    end();
  }

  /** The same for binary data, where the parser is at its key. */
  void readBase64(JsonParser json) throws IOException {
    begin();
    rank = 0;
    if (type != NpyType.STRING) {
      throw wrong("{\"b64\": …}", "Object");
    }
    strings.add(Base64Object.read(json));
    end();
  }

  private void begin() {
    rank = UNKNOWN;
    Arrays.fill(sizes, 0, values == 0 ? sizes.length : firstRank, UNKNOWN);
  }

  private void end() {
    if (values == 0) {
      firstRank = rank;
      System.arraycopy(sizes, 0, first, 0, rank);
    } else if (!Arrays.equals(first, 0, firstRank, sizes, 0, rank)) {
      String text = "Expecting shape %s but got: %s";
      var shapes = List.of(Arrays.copyOf(first, firstRank), Arrays.copyOf(sizes, rank));
      var names = shapes.stream().map(Arrays::toString).toArray();
      throw new PerformerException(text.formatted(names));
    }
    values++;
  }

  private void read(JsonParser json, int level) throws IOException {
    if (json.currentToken() != JsonToken.START_ARRAY) {
      rank = rank == UNKNOWN ? level : rank;
      if (level != rank) {
        String text = "JSON Value: %s found at incorrect level: %d; expected at level: %d";
        throw new PerformerException(text.formatted(JsonExcerpt.of(json), level, rank));
      }
      add(json);
      return;
    }
    boolean isDeeper = level < (rank == UNKNOWN ? sizes.length : rank);
    require(isDeeper, "Encountered list at unexpected level: %d expected < %d", level, rank);
    int size = 0;
    while (json.nextToken() != JsonToken.END_ARRAY) {
      read(json, level + 1);
      size++;
    }
    rank = rank == UNKNOWN ? level + 1 : rank;
    sizes[level] = sizes[level] == UNKNOWN ? size : sizes[level];
    String text = "Encountered list at unexpected size: %d at level: %d expected size: %d";
    require(sizes[level] == size, text, size, level, sizes[level]);
  }

  private void add(JsonParser json) throws IOException {
    String many = "the input %s has more than %d elements, which this API takes at most";
    require(++elements <= MOST, many, input.name(), MOST);
    JsonToken token = json.currentToken();
    boolean isWhole = token == JsonToken.VALUE_NUMBER_INT;
    switch (type) {
      case STRING -> {
        if (token == JsonToken.START_OBJECT && json.nextToken() == JsonToken.FIELD_NAME) {
          strings.add(Base64Object.read(json));
        } else {
          expect(token == JsonToken.VALUE_STRING, json);
          strings.add(json.getText().getBytes(StandardCharsets.UTF_8));
        }
      }
      case BOOL -> {
        expect(token.isBoolean(), json);
        numbers.add(token == JsonToken.VALUE_TRUE ? 1 : 0, 1);
      }
      case FLOAT32, FLOAT64 -> {
        expect(isWhole || token == JsonToken.VALUE_NUMBER_FLOAT, json);
        double value = json.getDoubleValue();
        boolean isHeld = Double.isFinite(type == NpyType.FLOAT32 ? (float) value : value);
        boolean isFinite = Character.isDigit(json.getText().charAt(json.getTextLength() - 1));
        expect(isHeld || !isFinite, json); // infinite is what is written so, not what is too large
        if (type == NpyType.FLOAT32) {
          numbers.add(Float.floatToRawIntBits((float) value), 4);
        } else {
          numbers.add(Double.doubleToRawLongBits(value), 8);
        }
      }
      default -> {
        expect(isWhole && json.getNumberType() != JsonParser.NumberType.BIG_INTEGER, json);
        long value = json.getLongValue();
        int bits = 8 * type.size();
        boolean isSigned = type.code().charAt(0) == 'i';
        long rest = isSigned ? value >> bits - 1 : value >> bits;
        expect(rest == 0 || isSigned && rest == -1, json);
        numbers.add(value, type.size());
      }
    }
  }

  private void expect(boolean isSo, JsonParser json) throws IOException {
    if (!isSo) {
      String kind =
          switch (json.currentToken()) {
            case VALUE_STRING -> "String";
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "Number";
            case VALUE_TRUE -> "True";
            case VALUE_FALSE -> "False";
            case VALUE_NULL -> "Null";
            default -> "Object";
          };
      throw wrong(JsonExcerpt.of(json), kind);
    }
  }

  private PerformerException wrong(String value, String kind) {
    String expected = input.typeName().replace("float32", "float").replace("float64", "double");
    String text = "JSON Value: %s Type: %s is not of expected type: %s (input %s)";
    return new PerformerException(text.formatted(value, kind, expected, input.name()));
  }

  /** The value that was read. */
  NpyArray value() {
    return array(Arrays.stream(first, 0, firstRank).asLongStream().toArray());
  }

  /** All values that were read, one a row. */
  NpyArray rows() {
    var all = IntStream.concat(IntStream.of(values), Arrays.stream(first, 0, firstRank));
    return array(all.asLongStream().toArray());
  }

  private NpyArray array(long[] of) {
    return type == NpyType.STRING
        ? NpyArray.of(strings, of)
        : new NpyArray(type, of, numbers.toByteArray());
  }

  /** Numbers of some bytes each, little endian. */
  private static final class Numbers {
    private byte[] bytes = new byte[256];
    private int size;

    private void add(long bits, int width) {
      if (size + width > bytes.length) {
        bytes = Arrays.copyOf(bytes, Math.multiplyExact(2, bytes.length));
      }
      for (int i = 0; i < width; i++) {
        bytes[size++] = (byte) (bits >>> 8 * i);
      }
    }

    private byte[] toByteArray() {
      return Arrays.copyOf(bytes, size);
    }
  }
}

package dev.performer.checkpoint;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The JSON at the start of a {@code .safetensors}: every tensor's type, shape and place.
 *
 * @param tensors by name
 * @param metadata the free texts under {@code __metadata__}
 * @see <a href="https://github.com/huggingface/safetensors#format">the format</a>
 */
record SafetensorsHeader(SortedMap<String, Entry> tensors, SortedMap<String, String> metadata) {
  private static final Map<String, ElementType> TYPES =
      Map.ofEntries(
          Map.entry("F64", ElementType.FLOAT64),
          Map.entry("F32", ElementType.FLOAT32),
          Map.entry("F16", ElementType.FLOAT16),
          Map.entry("BF16", ElementType.BFLOAT16),
          Map.entry("F8_E5M2", ElementType.FLOAT8_E5M2),
          Map.entry("F8_E4M3", ElementType.FLOAT8_E4M3),
          Map.entry("I64", ElementType.INT64),
          Map.entry("I32", ElementType.INT32),
          Map.entry("I16", ElementType.INT16),
          Map.entry("I8", ElementType.INT8),
          Map.entry("U64", ElementType.UINT64),
          Map.entry("U32", ElementType.UINT32),
          Map.entry("U16", ElementType.UINT16),
          Map.entry("U8", ElementType.UINT8),
          Map.entry("BOOL", ElementType.BOOL));

  private static final int MAX_RANK = 64;

  /** An entry as it stands in the file. */
  private record Written(
      String dtype, long[] shape, @JsonProperty("data_offsets") long[] dataOffsets) {}

  /** A tensor's type, shape, and its bytes from {@code begin} to {@code end} behind the header. */
  record Entry(ElementType type, long[] shape, long begin, long end) {}

  /**
   * Reads a header.
   *
   * @param file for errors
   * @param dataBytes bytes behind the header; the tensors must fill them without gap or overlap
   * @throws PerformerException that names file and tensor
   */
  static SafetensorsHeader parse(byte[] json, long dataBytes, String file) {
    SortedMap<String, Entry> tensors = new TreeMap<>();
    SortedMap<String, String> metadata = new TreeMap<>();
    try (JsonParser parser =
        new JsonFactory()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .createParser(json)) {
      expect(parser.nextToken(), JsonToken.START_OBJECT, file + ": the header");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        parser.nextToken();
        if (name.equals("__metadata__")) {
          readMetadata(parser, metadata, file);
        } else {
          tensors.put(name, readEntry(parser, file + ", tensor " + Excerpt.of(name)));
        }
      }
      if (parser.nextToken() != null) {
        throw new PerformerException(file + ": more than one JSON value in the header");
      }
    } catch (IOException e) {
      throw new PerformerException(
          file + ": the header is not the JSON of a safetensors file: " + StrictJson.reason(e), e);
    }
    checkPlaces(tensors, dataBytes, file);
    return new SafetensorsHeader(tensors, metadata);
  }

  private static void readMetadata(JsonParser parser, Map<String, String> metadata, String file)
      throws IOException {
    expect(parser.currentToken(), JsonToken.START_OBJECT, file + ": __metadata__");
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      expect(
          parser.nextToken(), JsonToken.VALUE_STRING, file + ": __metadata__." + Excerpt.of(key));
      metadata.put(key, parser.getText());
    }
  }

  private static Entry readEntry(JsonParser parser, String where) {
    expect(parser.currentToken(), JsonToken.START_OBJECT, where);
    Written written = StrictJson.bind(parser, Written.class, where);
    long[] shape = written.shape();
    long[] offsets = written.dataOffsets();
    if (written.dtype() == null || shape == null || offsets == null || offsets.length != 2) {
      throw new PerformerException(where + ": expected dtype, shape and two data_offsets");
    }
    ElementType type = TYPES.get(written.dtype());
    if (type == null) {
      throw new PerformerException(
          "%s: dtype %s is not supported; expected one of %s"
              .formatted(
                  where, Excerpt.of(written.dtype()), TYPES.keySet().stream().sorted().toList()));
    }
    if (shape.length > MAX_RANK) {
      throw new PerformerException(where + ": over " + MAX_RANK + " dimensions");
    }
    long bytes = type.bytesOf(shape, where);
    if (offsets[0] < 0 || offsets[1] < offsets[0] || offsets[1] - offsets[0] != bytes) {
      throw new PerformerException(
          "%s: data_offsets %s to %s do not hold the %s bytes of its shape"
              .formatted(where, offsets[0], offsets[1], bytes));
    }
    return new Entry(type, shape, offsets[0], offsets[1]);
  }

  private static void expect(JsonToken found, JsonToken expected, String where) {
    if (found != expected) {
      throw new PerformerException(
          where + ": expected " + word(expected) + ", found " + word(found));
    }
  }

  private static String word(JsonToken token) {
    if (token == null) {
      return "the end";
    }
    return switch (token) {
      case START_OBJECT -> "an object";
      case VALUE_STRING -> "a text";
      default -> "another value";
    };
  }

  private static void checkPlaces(Map<String, Entry> tensors, long dataBytes, String file) {
    List<Map.Entry<String, Entry>> inOrder = new ArrayList<>(tensors.entrySet());
    inOrder.sort(
        Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
            .thenComparingLong(e -> e.getValue().end()));
    long place = 0;
    for (Map.Entry<String, Entry> e : inOrder) {
      Entry entry = e.getValue();
      String where = file + ", tensor " + Excerpt.of(e.getKey()) + ": ";
      if (entry.end() > dataBytes) {
        throw new PerformerException(
            ("%sends at byte %s of the data, which has %s; the file is truncated or"
                    + " damaged, copy it again")
                .formatted(where, entry.end(), dataBytes));
      }
      if (entry.begin() != place) {
        String what =
            entry.begin() < place ? "overlaps the tensor before it" : "a gap is before it";
        throw new PerformerException(
            "%s%s (begins at byte %s, expected %s)".formatted(where, what, entry.begin(), place));
      }
      place = entry.end();
    }
    if (place != dataBytes) {
      throw new PerformerException(
          file + ": the tensors end at byte " + place + " of the data, which has " + dataBytes);
    }
  }
}

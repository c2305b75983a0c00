package dev.performer.checkpoint;

import static dev.performer.PerformerException.require;
import static java.util.Comparator.comparing;

import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import dev.performer.Excerpt;
import dev.performer.PerformerException;
import dev.performer.data.StrictJson;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The JSON at the start of a {@code .safetensors}: every tensor's type, shape and place, and the
 * free texts under {@code __metadata__}.
 *
 * @see <a href="https://github.com/huggingface/safetensors#format">the format</a>
 */
record SafetensorsHeader(SortedMap<String, Entry> tensors, SortedMap<String, String> metadata) {
  private static final int MAX_RANK = 64;

  /** An entry as it stands in the file. */
  private record Written(
      String dtype, long[] shape, @JsonProperty("data_offsets") long[] dataOffsets) {}

  /** A tensor's type, and its bytes from {@code begin} to {@code end} behind the header. */
  record Entry(ElementType type, WeightFile.Info info, long begin, long end) {}

  /** Reads a header; its tensors must fill the data behind it without gap or overlap. */
  static SafetensorsHeader parse(byte[] json, long dataBytes, String file) {
    var header = new SafetensorsHeader(new TreeMap<>(), new TreeMap<>());
    try (JsonParser parser =
        new JsonFactory()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .createParser(json)) {
      expect(parser.nextToken(), JsonToken.START_OBJECT, file + ": the header");
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        boolean isMetadata = name.equals("__metadata__");
        String where = file + (isMetadata ? ": " + name : ", tensor " + Excerpt.of(name));
        expect(parser.nextToken(), JsonToken.START_OBJECT, where);
        if (isMetadata) {
          header.readMetadata(parser, where);
        } else {
          header.tensors.put(name, readEntry(parser, where));
        }
      }
      require(parser.nextToken() == null, "%s: more than one JSON value in the header", file);
    } catch (IOException e) {
      throw new PerformerException(
          file + ": the header is not the JSON of a safetensors file: " + StrictJson.reason(e), e);
    }
    header.checkPlaces(dataBytes, file);
    return header;
  }

  private void readMetadata(JsonParser parser, String where) throws IOException {
    while (parser.nextToken() == JsonToken.FIELD_NAME) {
      String key = parser.currentName();
      expect(parser.nextToken(), JsonToken.VALUE_STRING, where + "." + Excerpt.of(key));
      metadata.put(key, parser.getText());
    }
  }

  private static Entry readEntry(JsonParser parser, String where) {
    Written written = StrictJson.bind(parser, Written.class, where);
    long[] shape = written.shape();
    long[] offsets = written.dataOffsets();
    boolean isWhole =
        written.dtype() != null && shape != null && offsets != null && offsets.length == 2;
    require(isWhole, "%s: expected dtype, shape and two data_offsets", where);
    ElementType type = ElementType.ofSafetensors(written.dtype()).orElse(null);
    if (type == null) {
      throw new PerformerException(
          "%s: dtype %s is not supported; expected one of %s"
              .formatted(where, Excerpt.of(written.dtype()), ElementType.safetensorsNames()));
    }
    require(shape.length <= MAX_RANK, "%s: over %s dimensions", where, MAX_RANK);
    long bytes = type.bytesOf(shape, where);
    long begin = offsets[0];
    long end = offsets[1];
    boolean fits = begin >= 0 && end >= begin && end - begin == bytes;
    String wrong = "%s: data_offsets %s to %s do not hold the %s bytes of its shape";
    require(fits, wrong, where, begin, end, bytes);
    return new Entry(type, new WeightFile.Info(type.label(), shape, bytes), begin, end);
  }

  private static void expect(JsonToken found, JsonToken expected, String where) {
    String word = expected == JsonToken.START_OBJECT ? "an object" : "a text";
    require(found == expected, "%s: expected %s", where, word);
  }

  private void checkPlaces(long dataBytes, String file) {
    var inOrder = new ArrayList<>(tensors.entrySet());
    inOrder.sort(Map.Entry.comparingByValue(comparing(Entry::begin).thenComparing(Entry::end)));
    String truncated = "%s ends at byte %s of the data, which has %s; the file is truncated";
    long place = 0;
    for (Map.Entry<String, Entry> e : inOrder) {
      long begin = e.getValue().begin();
      long end = e.getValue().end();
      String where = file + ", tensor " + Excerpt.of(e.getKey());
      require(end <= dataBytes, truncated, where, end, dataBytes);
      String what = begin < place ? "overlaps the tensor before it" : "leaves a gap before it";
      require(begin == place, "%s %s: begins at byte %s, not %s", where, what, begin, place);
      place = end;
    }
    String wrong = "%s: the tensors end at byte %s of the data, which has %s";
    require(place == dataBytes, wrong, file, place, dataBytes);
  }
}

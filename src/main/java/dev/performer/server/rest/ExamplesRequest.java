package dev.performer.server.rest;

import static dev.performer.PerformerException.require;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import com.google.protobuf.ByteString;
import dev.performer.PerformerException;
import dev.performer.server.http.Call;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.tensorflow.proto.BytesList;
import org.tensorflow.proto.Example;
import org.tensorflow.proto.Feature;
import org.tensorflow.proto.Features;
import org.tensorflow.proto.FloatList;
import org.tensorflow.proto.Int64List;

/**
 * What {@code :classify} and {@code :regress} take.
 *
 * @param examples serialized, with the features of the context in each
 */
record ExamplesRequest(String signature, List<byte[]> examples) {
  private static final String CONTEXT = "context";
  private static final String EXAMPLES = "examples";

  static ExamplesRequest read(Call call, int mostRows) throws IOException {
    RequestKeys keys = RequestKeys.of(call);
    require(keys.names().contains(EXAMPLES), "key 'examples' is expected and was not found");
    Features context = Features.getDefaultInstance();
    if (keys.names().contains(CONTEXT)) {
      try (JsonParser json = keys.at(call, CONTEXT)) {
        context = features(json);
      }
    }
    List<byte[]> examples = new ArrayList<>();
    try (JsonParser json = keys.at(call, EXAMPLES)) {
      boolean isList = json.currentToken() == JsonToken.START_ARRAY;
      require(isList, "Expecting 'examples' value to be an list/array");
      while (json.nextToken() != JsonToken.END_ARRAY) {
        String many = "this server takes %d 'examples' at a time at most";
        require(examples.size() < mostRows, many, mostRows);
        var all = context.toBuilder().mergeFrom(features(json));
        examples.add(Example.newBuilder().setFeatures(all).build().toByteArray());
      }
    }
    require(!examples.isEmpty(), "'examples' value is an empty array");
    return new ExamplesRequest(keys.signature(), examples);
  }

  private static Features features(JsonParser json) throws IOException {
    boolean isObject = json.currentToken() == JsonToken.START_OBJECT;
    String text = "Example must be JSON object but got JSON %s";
    require(isObject, text, isObject ? "" : JsonExcerpt.of(json));
    Features.Builder features = Features.newBuilder();
    while (json.nextToken() != JsonToken.END_OBJECT) {
      String name = json.currentName();
      Values values = new Values(name);
      if (json.nextToken() == JsonToken.START_ARRAY) {
        while (json.nextToken() != JsonToken.END_ARRAY) {
          values.add(json);
        }
      } else {
        values.add(json);
      }
      features.putFeature(name, values.feature());
    }
    return features.build();
  }

  /** The values of a feature, of one kind; whole numbers beside others are such as these. */
  private static final class Values {
    private final String name;
    private final BytesList.Builder bytes = BytesList.newBuilder();
    private final FloatList.Builder floats = FloatList.newBuilder();
    private final Int64List.Builder ints = Int64List.newBuilder();
    private boolean hasFraction;

    private Values(String name) {
      this.name = name;
    }

    private void add(JsonParser json) throws IOException {
      switch (json.currentToken()) {
        case VALUE_STRING -> bytes.addValue(ByteString.copyFromUtf8(json.getText()));
        case VALUE_TRUE, VALUE_FALSE -> {
          boolean value = json.getBooleanValue();
          ints.addValue(value ? 1 : 0);
          floats.addValue(value ? 1 : 0);
        }
        case VALUE_NUMBER_INT -> {
          boolean isLong = json.getNumberType() != JsonParser.NumberType.BIG_INTEGER;
          require(isLong, "Feature: %s has an element that does not fit int64", name);
          ints.addValue(json.getLongValue());
          floats.addValue(json.getLongValue());
        }
        case VALUE_NUMBER_FLOAT -> {
          hasFraction = true;
          floats.addValue(json.getFloatValue());
        }
        case START_OBJECT -> {
          boolean isKey = json.nextToken() == JsonToken.FIELD_NAME;
          require(isKey, "Feature: %s has an element that is an object without b64", name);
          bytes.addValue(ByteString.copyFrom(Base64Object.read(json)));
        }
        default -> {
          String text = "Feature: %s has element with unexpected JSON type: %s";
          throw new PerformerException(text.formatted(name, JsonExcerpt.of(json)));
        }
      }
    }

    private Feature feature() {
      Feature.Builder feature = Feature.newBuilder();
      boolean isOne = bytes.getValueCount() == 0 || floats.getValueCount() == 0;
      require(isOne, "Feature: %s has texts beside numbers; expected values of one kind", name);
      if (bytes.getValueCount() > 0) {
        feature.setBytesList(bytes);
      } else if (hasFraction) {
        feature.setFloatList(floats);
      } else if (ints.getValueCount() > 0) {
        feature.setInt64List(ints);
      }
      return feature.build();
    }
  }
}

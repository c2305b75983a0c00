package example;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandler;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * TensorFlow Serving's REST API and streamed completions, from the JDK alone: {@code java
 * RestClient.java http://127.0.0.1:8501 lm}. A program with a JSON library has less to do.
 */
public final class RestClient {
  private static final Pattern ROW = Pattern.compile("\\[([^\\[\\]]+)\\]");
  private static final Pattern TEXT = Pattern.compile("\"text\"\\s*:\\s*\"((?:[^\"\\\\]|\\\\.)*)\"");
  private static final Pattern ESCAPE = Pattern.compile("\\\\(u([0-9a-fA-F]{4})|.)");

  private final HttpClient client = HttpClient.newHttpClient();
  private final String url;
  private final String model;

  private RestClient(String url, String model) {
    this.url = url;
    this.model = model;
  }

  /** @param args URL MODEL */
  public static void main(String[] args) throws IOException, InterruptedException {
    var asked = new RestClient(args[0], args[1]);
    asked.predict();
    asked.complete();
  }

  private <T> T post(String path, String body, BodyHandler<T> handler)
      throws IOException, InterruptedException {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(url + path))
            .header("Content-Type", "application/json")
            .timeout(Duration.ofMinutes(1))
            .POST(BodyPublishers.ofString(body))
            .build();
    HttpResponse<T> response = client.send(request, handler);
    if (response.statusCode() != 200) {
      throw new IOException(path + ": " + response.statusCode());
    }
    return response.body();
  }

  private void predict() throws IOException, InterruptedException {
    String body = "{\"signature_name\": \"serving_default\", \"instances\": [{\"tokens\": [1, 2, 3, 4]}]}";
    String answer = post("/v1/models/" + model + ":predict", body, BodyHandlers.ofString());
    List<double[]> rows = new ArrayList<>(); // [L, V] of the only instance
    for (Matcher row = ROW.matcher(answer); row.find(); ) {
      rows.add(Stream.of(row.group(1).split(",")).mapToDouble(Double::parseDouble).toArray());
    }
    double largest = Double.NEGATIVE_INFINITY;
    List<String> likeliest = new ArrayList<>();
    for (double[] row : rows) {
      int best = 0;
      for (int i = 1; i < row.length; i++) {
        best = row[i] > row[best] ? i : best;
      }
      likeliest.add("" + best);
      largest = Math.max(largest, row[best]);
    }
    System.out.println("logits 1 " + rows.size() + " " + rows.get(0).length);
    System.out.println("likeliest " + String.join(" ", likeliest));
    System.out.printf(Locale.ROOT, "largest %.4f%n", largest);
  }

  private void complete() throws IOException, InterruptedException {
    String body =
        "{\"model\": \"%s\", \"prompt\": \"MKT\", \"max_tokens\": 20, \"seed\": 1, \"stream\": true}"
            .formatted(model);
    // Lines come as the server sends them.
    try (Stream<String> events = post("/v1/completions", body, BodyHandlers.ofLines())) {
      String text =
          events.map(TEXT::matcher).filter(Matcher::find).map(m -> unescaped(m.group(1))).collect(Collectors.joining());
      System.out.println("text MKT" + text);
    }
  }

  private static String unescaped(String json) {
    return ESCAPE
        .matcher(json)
        .replaceAll(
            escape -> {
              String letter = escape.group(1);
              String plain =
                  switch (letter.charAt(0)) {
                    case 'n' -> "\n";
                    case 't' -> "\t";
                    case 'r' -> "\r";
                    case 'b' -> "\b";
                    case 'f' -> "\f";
                    case 'u' -> "" + (char) Integer.parseInt(escape.group(2), 16);
                    default -> letter;
                  };
              return Matcher.quoteReplacement(plain);
            });
  }
}

package dev.performer.savedmodel;

import static dev.performer.PerformerException.require;

import dev.performer.PerformerException;
import dev.performer.data.Labels;
import dev.performer.graph.Variable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Variables by their names, in which {@code /} stands between parts: {@code *} is any text within a
 * part, {@code **} any parts, {@code ?} one character, {@code [0-3]} one of some, {@code {a,b}} a
 * choice. Two stars before a slash stand for nothing, too.
 */
public record VariablePattern(String glob, Pattern pattern) {
  private static final Pattern PIECE =
      Pattern.compile("\\*\\*/|\\*\\*|\\*|\\?|\\[!?[^]]+]|\\{[^{}]+}|[^*?\\[{]+|.", Pattern.DOTALL);

  /** Reads a pattern. @throws PerformerException if it is none; it names the key */
  public static VariablePattern of(String key, String glob) {
    require(glob != null && !glob.isBlank(), "%s has an empty pattern", key);
    String regex =
        PIECE.matcher(glob).results().map(m -> regex(m.group())).collect(Collectors.joining());
    try {
      return new VariablePattern(glob, Pattern.compile(regex));
    } catch (PatternSyntaxException e) {
      String text = "%s: '%s' is no pattern of names; write it as 'encoder/layer_[0-3]/**'";
      throw new PerformerException(text.formatted(key, glob), e);
    }
  }

  private static String regex(String piece) {
    if (piece.length() > 2 && piece.startsWith("{")) {
      String choices = piece.substring(1, piece.length() - 1);
      return Stream.of(choices.split(",", -1))
          .map(Pattern::quote)
          .collect(Collectors.joining("|", "(?:", ")"));
    } else if (piece.length() > 2 && piece.startsWith("[")) {
      return piece.replace("\\", "\\\\").replaceFirst("^\\[!", "[^");
    }
    return switch (piece) {
      case "**/" -> "(?:.*/)?";
      case "**" -> ".*";
      case "*" -> "[^/]*";
      case "?" -> "[^/]";
      case "[", "{" -> "("; // no pattern
      default -> Pattern.quote(piece);
    };
  }

  /** Whether it is the pattern of a name. */
  public boolean matches(String name) {
    return pattern.matcher(name).matches();
  }

  /** The variables that match. @throws PerformerException that names near ones if none does */
  public List<Variable> in(String key, List<Variable> variables) {
    return in(key, variables, Variable::name);
  }

  <T> List<T> in(String key, List<T> variables, Function<T, String> name) {
    var found = variables.stream().filter(v -> matches(name.apply(v))).toList();
    if (found.isEmpty()) {
      var near = near(variables.stream().map(name).toList());
      String text = "%s: no variable matches '%s'; did you mean %s? There are %d";
      throw new PerformerException(text.formatted(key, glob, near, variables.size()))
          .settledBy(key);
    }
    return found;
  }

  /** Names by that part of them which the pattern writes out. */
  private String near(List<String> names) {
    String core = glob.replaceAll("^(\\*\\*?/)+|(/\\*\\*?)+$", "");
    int depth = core.split("/").length;
    Map<String, List<String>> byPart =
        names.stream()
            .collect(
                Collectors.groupingBy(
                    n -> part(n, depth), LinkedHashMap::new, Collectors.toList()));
    var nearest = byPart.getOrDefault(Labels.nearest(core, byPart.keySet()), List.of());
    return nearest.stream().limit(3).collect(Collectors.joining(", "))
        + (nearest.size() > 3 ? ", …" : "");
  }

  private String part(String name, int depth) {
    List<String> parts = List.of(name.split("/"));
    int count = Math.min(depth, parts.size());
    int from = glob.startsWith("**") ? parts.size() - count : 0;
    return String.join("/", parts.subList(from, from + count));
  }
}

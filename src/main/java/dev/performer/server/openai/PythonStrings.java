package dev.performer.server.openai;

import com.hubspot.jinjava.lib.Importable;
import com.hubspot.jinjava.util.ForLoop;
import java.beans.FeatureDescriptor;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import jinjava.javax.el.ELContext;
import jinjava.javax.el.ELResolver;

/**
 * The methods of Python's strings in templates, where Java's have other names or mean regular
 * expressions; values of Java beyond strings, lists, maps and loops have none at all.
 */
final class PythonStrings extends ELResolver {
  @Override
  public Object invoke(
      ELContext context, Object base, Object method, Class<?>[] types, Object[] given) {
    if (base instanceof CharSequence text) {
      context.setPropertyResolved(true);
      return call(text.toString(), "" + method, given == null ? new Object[0] : given);
    }
    boolean isKnown =
        base instanceof Map
            || base instanceof List
            || base instanceof ForLoop
            || base instanceof Importable; // filters and tests, which are called so, too
    if (base != null && !isKnown) {
      throw new ChatTemplate.Refused("values have no method " + method);
    }
    return null;
  }

  private static Object call(String s, String method, Object[] given) {
    String first = given.length > 0 && given[0] != null ? given[0].toString() : null;
    return switch (method + given.length) {
      case "strip0", "strip1" -> strip(s, first, true, true);
      case "lstrip0", "lstrip1" -> strip(s, first, true, false);
      case "rstrip0", "rstrip1" -> strip(s, first, false, true);
      case "startswith1" -> prefixes(given[0]).stream().anyMatch(s::startsWith);
      case "endswith1" -> prefixes(given[0]).stream().anyMatch(s::endsWith);
      case "split0" -> s.isBlank() ? new ArrayList<>() : list(s.strip().split("\\s+"));
      case "split1" -> list(s.split(Pattern.quote(first), -1));
      case "split2" -> list(s.split(Pattern.quote(first), ((Number) given[1]).intValue() + 1));
      case "replace2" -> s.replace(first, given[1].toString());
      case "upper0" -> s.toUpperCase();
      case "lower0" -> s.toLowerCase();
      case "capitalize0" ->
          s.isEmpty() ? s : s.substring(0, 1).toUpperCase() + s.substring(1).toLowerCase();
      case "title0" -> title(s);
      case "find1" -> (long) s.indexOf(first);
      case "count1" -> (long) s.split(Pattern.quote(first), -1).length - 1;
      case "join1" ->
          ((List<?>) given[0]).stream().map(String::valueOf).collect(Collectors.joining(s));
      default -> throw new ChatTemplate.Refused("strings have no method " + method);
    };
  }

  private static String title(String s) {
    return Pattern.compile("\\p{L}+")
        .matcher(s)
        .replaceAll(
            m -> m.group().substring(0, 1).toUpperCase() + m.group().substring(1).toLowerCase());
  }

  private static List<String> prefixes(Object given) {
    return given instanceof List<?> all
        ? all.stream().map(String::valueOf).toList()
        : List.of(String.valueOf(given));
  }

  private static List<String> list(String[] parts) {
    return new ArrayList<>(Arrays.asList(parts));
  }

  private static String strip(String s, String characters, boolean left, boolean right) {
    int from = 0;
    int to = s.length();
    while (left && from < to && isStripped(s.charAt(from), characters)) {
      from++;
    }
    while (right && to > from && isStripped(s.charAt(to - 1), characters)) {
      to--;
    }
    return s.substring(from, to);
  }

  private static boolean isStripped(char c, String characters) {
    return characters == null ? Character.isWhitespace(c) : characters.indexOf(c) >= 0;
  }

  @Override
  public Object getValue(ELContext context, Object base, Object property) {
    if (base instanceof CharSequence text && property instanceof Number at) {
      int index = at.intValue() < 0 ? at.intValue() + text.length() : at.intValue();
      context.setPropertyResolved(true);
      return index < 0 || index >= text.length() ? null : text.subSequence(index, index + 1);
    }
    return null;
  }

  @Override
  public Class<?> getType(ELContext context, Object base, Object property) {
    return null;
  }

  @Override
  public void setValue(ELContext context, Object base, Object property, Object value) {}

  @Override
  public boolean isReadOnly(ELContext context, Object base, Object property) {
    return true;
  }

  @Override
  public Class<?> getCommonPropertyType(ELContext context, Object base) {
    return Object.class;
  }

  @Override
  public Iterator<FeatureDescriptor> getFeatureDescriptors(ELContext context, Object base) {
    return Collections.emptyIterator();
  }
}

package trackleak;

import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Pattern;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.email.UAX29URLEmailTokenizer;
import org.apache.lucene.analysis.miscellaneous.RemoveDuplicatesTokenFilter;
import org.apache.lucene.analysis.pattern.PatternCaptureGroupTokenFilter;
import org.elasticsearch.index.analysis.PreConfiguredTokenFilter;
import org.elasticsearch.index.analysis.PreConfiguredTokenizer;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;

/**
 * What the index of API keys needs of the analysis module, which is not in the distribution that the
 * tests run.
 */
public class TestExtras extends Plugin implements AnalysisPlugin {
	@Override
	public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
		return Map.of(
			"pattern_capture", (index, environment, name, settings) -> {
				boolean keeps = settings.getAsBoolean("preserve_original", true);
				Pattern[] patterns = settings.getAsList("patterns").stream()
					.map(Pattern::compile).toArray(Pattern[]::new);
				return factory(name, stream ->
					new PatternCaptureGroupTokenFilter(stream, keeps, patterns));
			},
			"unique", (index, environment, name, settings) ->
				factory(name, RemoveDuplicatesTokenFilter::new));
	}

	/* Not by AbstractTokenFilterFactory, whose constructor is another one in 9. */
	private static TokenFilterFactory factory(String name, UnaryOperator<TokenStream> filter) {
		return new TokenFilterFactory() {
			@Override
			public String name() {
				return name;
			}

			@Override
			public TokenStream create(TokenStream stream) {
				return filter.apply(stream);
			}
		};
	}

	@Override
	public List<PreConfiguredTokenFilter> getPreConfiguredTokenFilters() {
		return List.of(PreConfiguredTokenFilter.singleton("unique", false,
								  RemoveDuplicatesTokenFilter::new));
	}

	@Override
	public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
		return Map.of("uax_url_email", (index, environment, name, settings) ->
			TokenizerFactory.newFactory(name, UAX29URLEmailTokenizer::new));
	}

	@Override
	public List<PreConfiguredTokenizer> getPreConfiguredTokenizers() {
		return List.of(PreConfiguredTokenizer.singleton("uax_url_email", UAX29URLEmailTokenizer::new));
	}
}
